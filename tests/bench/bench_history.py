"""What a usual night's build costs on ten times the history, against the same night on the history as it is.

A simulated province is read for two nights; the second is built on the first, incrementally (1 ×). Then the raw log of
the first night is copied under other keys until it is ten times as long, a third night is read, and built on all of
that (10 ×). Each incremental build is made several times over the same touched keys: the least seconds of each model
count. Printed: rows of raw, touched keys, and seconds of the models by domain, with their ratio.

    python tests/bench/bench_history.py --profile tiny --times 10 --repeats 3
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.dbt_models import Models  # noqa: E402
from tests.support.whole_fleet import read_night  # noqa: E402

from demo.registry import write_registry  # noqa: E402
from localpg import Cluster  # noqa: E402
from simulator import Province  # noqa: E402
from yingshang import secrets  # noqa: E402
from yingshang.contracts import Contract, load_contracts  # noqa: E402
from yingshang.warehouse.roles import init_warehouse  # noqa: E402

GOAL = 1.5
MONTHS = {"stat_month"}
"""Part of a key, but no name: a copy keeps it, and counts another village in the same month."""
LISTS = {"bid_section_codes"}
"""Several keys in one text, separated by semicolons."""
COPY_IDS = 1_000_000

Seconds = Counter[str]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--profile", default=None, help="tiny: a province of 11 nodes")
    parser.add_argument("--scale", type=float, default=0.02, help="size of the province, without a profile")
    parser.add_argument("--times", type=int, default=10, help="length of the longer history")
    parser.add_argument("--repeats", type=int, default=3, help="how often each incremental build is made")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["YINGSHANG_STATE"] = f"{folder}/state"
        cluster = Cluster(Path(folder) / "pg", settings={"shared_buffers": "512MB"})
        province = Province(Path(folder) / "province", seed=1, scale=arguments.scale, profile=arguments.profile)
        try:
            cluster.start()
            secrets.init_keys()
            init_warehouse(cluster.superuser_dsn())
            province.start()
            secrets.save_connections(province.connections())
            write_registry(Path(folder) / "state" / "registry", province)
            with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as connection:
                measure(connection, province, Path(folder) / "dbt", arguments.times, arguments.repeats)
        finally:
            province.destroy()
            cluster.destroy()


def measure(connection: psycopg.Connection[Any], province: Province, folder: Path, times: int, repeats: int) -> None:
    """Both nights, and the table."""
    models = Models(connection, _environment(), folder)
    models.seed("slot_a")
    found = []
    for number in (1, times):
        if number == 1:
            read_night(province.night, f"bench-{province.night}")
        for copy in range(1, number):
            for contract in load_contracts().values():
                _copy(connection, contract, copy)
        connection.execute("analyze")
        first = _seq(connection)
        models.build("slot_a", to_seq=first, night=province.night, full=True)
        province.advance()
        read_night(province.night, f"bench-{province.night}")
        found.append(_usual_night(models, first, _seq(connection), province, repeats))
        rows, touched = models.row("select sum(raw_rows), (select count(*) from slot_a.touched_key) from ops.batch")
        print(
            f"{number:3d} × history: {rows:,} rows in raw, {touched:,} touched keys, {found[-1].total():.1f} s",
            flush=True,
        )
    short, long = found
    print(f"\n{'domain':<16}{'1 ×, s':>10}{f'{times} ×, s':>10}{'ratio':>8}")
    for domain in sorted(short | long, key=lambda name: -long[name]):
        print(f"{domain:<16}{short[domain]:>10.2f}{long[domain]:>10.2f}{long[domain] / (short[domain] or 1):>8.2f}")
    ratio = long.total() / short.total()
    print(f"{'all models':<16}{short.total():>10.2f}{long.total():>10.2f}{ratio:>8.2f}  goal {GOAL}")


def _usual_night(models: Models, first: int, last: int, province: Province, repeats: int) -> Seconds:
    """Build one night several times on the same state of the slot; least seconds of each model, by domain."""
    best: dict[str, float] = {}
    domains: dict[str, str] = {}
    for _ in range(repeats):
        models.connection.execute(
            "insert into ops.build (schema_name, slot, kind, from_seq, to_seq, night)"
            " values ('slot_a', 'slot_a', 'incremental', %s, %s, %s)",
            (first, last, province.night),
        )
        result = models.run("run", "slot_a")
        assert result.success, result.exception
        for one in result.result.results:
            name = one.node.name
            best[name] = min(best.get(name, one.execution_time), one.execution_time)
            domains[name] = one.node.fqn[1] if one.node.fqn[1] == "context" else one.node.fqn[2]
    for name, seconds in sorted(best.items(), key=lambda item: -item[1])[:8]:
        print(f"    {name}: {seconds:.2f} s")
    total: Seconds = Counter()
    for name, seconds in best.items():
        total[domains[name]] += seconds
    return total


def _copy(connection: psycopg.Connection[Any], contract: Contract, copy: int) -> None:
    """Admit a copy of a dataset's rows of the first night, each under a key of its own."""
    keys = {
        one.column(name).raw_name
        for one in load_contracts().values()
        if one.system == contract.system
        for name in one.primary_key
    }
    table = sql.Identifier("raw", contract.raw_table)
    columns = [
        name
        for (name,) in connection.execute(
            "select column_name from information_schema.columns where table_schema = 'raw' and table_name = %s",
            (contract.raw_table,),
        )
    ]
    first = "(select min(night) from ops.night_run)"
    originals = f"(night = {first} and batch_id < {COPY_IDS} and system = %(system)s and dataset = %(dataset)s)"
    of = {"system": contract.system, "dataset": contract.dataset, "shift": copy * COPY_IDS}
    connection.execute(
        "insert into ops.batch (batch_id, run_id, night, system, dataset, node_code, kind, drop_sha256, cursor_high,"
        " source_rows, raw_rows, quarantined_rows, duplicate_rows, contract_version, started_at)"
        " select batch_id + %(shift)s, run_id, night, system, dataset, node_code, 'replay', 'copy ' || batch_id"
        " || '/' || %(shift)s, cursor_high, raw_rows, raw_rows, 0, 0, contract_version, started_at from ops.batch"
        f" where {originals}".encode(),
        of,
    )
    values = sql.SQL(", ").join(_value(name, keys, copy) for name in columns)
    connection.execute(
        sql.SQL("insert into {table} ({columns}) select {values} from {table} as r where _batch_id in").format(
            table=table, columns=sql.SQL(", ").join(map(sql.Identifier, columns)), values=values
        )
        + sql.SQL(f" (select batch_id from ops.batch where {originals})"),  # type: ignore[arg-type]
        of,
    )
    connection.execute(
        "select count(*) from ops.record_events((select coalesce(array_agg(batch_id), '{}') from ops.batch where"
        " batch_id / %(ids)s = %(copy)s and system = %(system)s and dataset = %(dataset)s), 'admitted', 'bench')",
        of | {"ids": COPY_IDS, "copy": copy},
    )


def _value(name: str, keys: set[str], copy: int) -> sql.Composable:
    column = sql.Identifier(name)
    if name == "_batch_id":
        return column + sql.SQL(" + %(shift)s")
    if name in LISTS:
        return sql.SQL("regexp_replace({}, '([^;]+)', {}, 'g')").format(column, sql.Literal(rf"\1~{copy}"))
    if name in keys - MONTHS:
        return sql.SQL("{} || {}").format(column, sql.Literal(f"~{copy}"))
    return column


def _seq(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("select coalesce(max(seq), 0) from ops.batch_event").fetchone()
    assert row is not None
    return int(row[0])


def _environment() -> dict[str, str]:
    transform = secrets.connection("warehouse_transform")
    return {
        "YINGSHANG_DBT_HOST": str(transform.host),
        "YINGSHANG_DBT_PORT": str(transform.port or 5432),
        "YINGSHANG_DBT_USER": transform.login,
        "YINGSHANG_DBT_PASSWORD": transform.password,
        "YINGSHANG_DBT_DBNAME": transform.path.lstrip("/"),
    }


if __name__ == "__main__":
    main()
