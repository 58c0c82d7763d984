"""What row security costs a reader, against the same query with an explicit `where`.

Two marts as a publication leaves them, both slots full: one whose rows belong to a node (as trading), one whose rows
belong to a city and a county (as the sunshine services). Each query runs as a role of the access registry, and as the
superuser, whom no policy filters, with the `where` that an analyst would write instead; by turns, in the same run. The
ratio is of the best times: other work on the machine only adds to them. `--variants` tries other forms of the policy.

    python tests/bench/bench_access.py --rows 2000000 --rounds 15
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.publishing import SqlBuilder, cycle, publisher  # noqa: E402

from localpg import Cluster  # noqa: E402
from yingshang import quality  # noqa: E402
from yingshang.contracts.access import load_access  # noqa: E402
from yingshang.publish.model import Build  # noqa: E402
from yingshang.warehouse import connect  # noqa: E402
from yingshang.warehouse.access import PLANNER  # noqa: E402
from yingshang.warehouse.connections import ReaderRole  # noqa: E402
from yingshang.warehouse.rights import MartRights  # noqa: E402
from yingshang.warehouse.roles import init_warehouse  # noqa: E402

GOAL = 1.3
RIGHTS = {
    "fct_lot": MartRights("public", ("node_code",)),
    "fct_village": MartRights("internal", ("city_code", "county_code")),
}
INDEXES = {"fct_lot": ("row_id", "created_date", "node_code, created_date"), "fct_village": ("row_id", "created_date")}
"""As the facts have them: the sunshine services' are not indexed by division."""
QUERIES = {
    "a key": "select * from marts.{mart} where row_id = {key} {where}",
    "200 keys": "select count(*), sum(amount_yuan) from marts.{mart}"
    " where row_id between {key} and {key} + 199 {where}",
    "one day": "select kind, count(*) from marts.{mart} where created_date = date '2024-03-05' {where} group by kind",
    "a month": "select kind, count(*), sum(amount_yuan) from marts.{mart}"
    " where created_date >= '2024-03-01' and created_date < '2024-04-01' {where} group by kind",
    "everything": "select kind, count(*), sum(amount_yuan) from marts.{mart} where true {where} group by kind",
    "joined": "select d.kind, count(*) from marts.{mart} as m join (select distinct kind from marts.{mart}"
    " where row_id < 1000 {where}) as d on d.kind = m.kind"
    " where m.created_date = date '2024-03-05' {where_m} group by 1",
}
ROLES = ("bi_reader", "bi_shenyang", "bi_heping")
MINE = "(select a.node_codes from ops.my_access as a)"
VARIANTS = {
    "evaluated once, one value for a county, an array for a city's nodes (the project's)": None,
    "evaluated once, an array always": {
        "fct_lot": f"node_code = any ({MINE}::text[])",
        "fct_village": "city_code = (select a.city_code from ops.my_access as a)"
        " or county_code = (select a.county_code from ops.my_access as a)",
    },
    "range of codes": {
        "fct_lot": f"node_code >= (select rtrim({MINE}[1], '0')) and node_code < (select rtrim({MINE}[1], '0') || ':')",
        "fct_village": f"county_code >= (select rtrim({MINE}[1], '0'))"
        f" and county_code < (select rtrim({MINE}[1], '0') || ':')",
    },
    "hashed subquery": {
        "fct_lot": "node_code in (select unnest(a.node_codes) from ops.my_access as a)",
        "fct_village": "county_code in (select unnest(a.node_codes) || '000000' from ops.my_access as a)",
    },
    "per row": {
        "fct_lot": "exists (select from ops.my_access as a where fct_lot.node_code = any (a.node_codes))",
        "fct_village": "exists (select from ops.my_access as a where fct_village.city_code = a.city_code"
        " or fct_village.county_code = a.county_code)",
    },
}  # fmt: skip


class Wide(SqlBuilder):
    """Marts of `rows` rows over all nodes of the registry, with the indexes that facts have."""

    def _write(self, conn: psycopg.Connection[Any], mart: str, build: Build) -> None:
        conn.execute(f"drop table if exists {build.slot}.{mart}")
        conn.execute(
            f"""
            create table {build.slot}.{mart} as
            select
                n as row_id, c.node_code, c.node_code || '000000' as county_code,
                left(c.node_code, 4) || '00000000' as city_code, 'kind ' || n %% 38 as kind,
                (n %% 1000 * 1.01)::numeric(18, 2) as amount_yuan,
                date '2022-01-01' + (n::bigint * 7919 %% 960)::int as created_date,
                repeat('x', 120) as title, '{build.slot}'::text as _slot, {build.build_id}::bigint as _build_id
            from generate_series(1, %s) as n
            join unnest(%s::text[]) with ordinality as c (node_code, position) on c.position = 1 + n::bigint * 31 %% 100
            """,
            (self.rows, sorted(code for code, node in load_access().nodes.items() if node.level == "county")),
        )
        conn.execute(
            f"alter table {build.slot}.{mart} add check (_slot = '{build.slot}'), alter _slot set not null,"
            " alter _build_id set not null"
        )
        for columns in INDEXES[mart]:
            conn.execute(f"create index on {build.slot}.{mart} ({columns})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000, help="rows per mart and slot")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--variants", action="store_true", help="try other forms of the policy as well")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        os.environ["YINGSHANG_STATE"] = f"{folder}/state"
        cluster = Cluster(Path(folder) / "pg", settings={"shared_buffers": "512MB", "fsync": "off"})
        try:
            cluster.start()
            with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as admin:
                admin.execute("create database warehouse")
            init_warehouse(cluster.superuser_dsn("warehouse"))
            maker = publisher(Wide(rows=arguments.rows, marts=tuple(RIGHTS), columns={}, rights=RIGHTS))
            cycle(maker)
            built, _ = cycle(maker)
            with psycopg.connect(cluster.superuser_dsn("warehouse"), autocommit=True) as admin:
                admin.execute("vacuum analyze")
                for key, value in PLANNER.items():
                    admin.execute(f"set {key} = {value}")
                print(f"{arguments.rows:,} rows per mart and slot, best of {arguments.rounds} rounds")
                print(f"probe: {quality.probe(built.build_id)} in {quality.probe(built.build_id).seconds:.1f} s")
                for name, forms in VARIANTS.items():
                    if forms is not None and not arguments.variants:
                        continue
                    for mart, form in (forms or {}).items():
                        for level in ("city", "county"):
                            admin.execute(f"alter policy {level} on serve.{mart} using ({form})")
                    report(name, admin, arguments.rows // 3, arguments.rounds, list(forms or RIGHTS))
        finally:
            cluster.destroy()


def report(name: str, admin: psycopg.Connection[Any], key: int, rounds: int, marts: list[str]) -> None:
    """Print the ratios of one form of the policy."""
    print(f"\n{name}")
    print(f"{'mart':12} {'role':12} {'query':12} {'explicit':>10} {'policy':>10} {'ratio':>6}")
    found = []
    for mart in marts:
        for role in ROLES:
            with connect(ReaderRole(role), autocommit=True) as reader:
                for query, text in QUERIES.items():
                    where = explicit(mart, role)
                    plain = text.format(mart=mart, key=key, where=where, where_m=where.replace("and ", "and m.", 1))
                    filtered = text.format(mart=mart, key=key, where="", where_m="")
                    pair = measure(admin, plain, reader, filtered, rounds)
                    found.append(pair[1] / pair[0])
                    print(
                        f"{mart:12} {role:12} {query:12} {pair[0] * 1000:8.2f} ms {pair[1] * 1000:8.2f} ms"
                        f" {found[-1]:6.2f}"
                    )
    print(f"median ratio {statistics.median(found):.2f}, worst {max(found):.2f} (goal {GOAL})")


def explicit(mart: str, role: str) -> str:
    """The `where` that an analyst would write for what the role sees."""
    registry = load_access()
    access = registry.active[role]
    level, code = registry.level(access), access.division_code
    if level == "province":
        return ""
    if mart == "fct_village":
        return f"and {level}_code = '{code}000000'"
    codes = ", ".join(f"'{one}'" for one in registry.below(code))
    return f"and node_code in ({codes})"


def measure(
    admin: psycopg.Connection[Any], plain: str, reader: psycopg.Connection[Any], filtered: str, rounds: int
) -> tuple[float, float]:
    """Least seconds of both, by turns; both must give the same rows."""
    took: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        answers = []
        for which, (conn, query) in enumerate(((admin, plain), (reader, filtered))):
            start = time.perf_counter()
            answers.append(sorted(map(str, conn.execute(query.encode()).fetchall())))
            if turn:  # the first warms up
                took[which].append(time.perf_counter() - start)
        assert answers[0] == answers[1], (plain, filtered)
    return min(took[0]), min(took[1])


if __name__ == "__main__":
    main()
