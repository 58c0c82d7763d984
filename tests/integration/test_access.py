"""Who may see what: each role sees its divisions up to its ceiling, and the gate would notice if it did not."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support.publishing import NIGHT, SqlBuilder, cycle, publisher
from typer.testing import CliRunner

from yingshang import quality
from yingshang.cli.access import app
from yingshang.contracts.access import load_access
from yingshang.errors import AuditFailed, BuildError, CredentialError, RegistryError
from yingshang.publish.model import Build, Plan
from yingshang.quality.access import catalogue_problems, who_sees_what
from yingshang.quality.access_counts import try_roles
from yingshang.settings import PROJECT_ROOT
from yingshang.warehouse import connect
from yingshang.warehouse.access import keep_access
from yingshang.warehouse.connections import ReaderRole
from yingshang.warehouse.rights import MartRights
from yingshang.warehouse.roles import DSN_VARIABLE, apply_access

RIGHTS = {
    "fct_deal": MartRights("public", ("node_code",)),
    "fct_visit": MartRights(
        "internal",
        ("city_code", "county_code"),
        {"caller_name_token": "confidential"},
        {"persons": "persons < 5"},
    ),
    "dim_kind": MartRights("internal"),
}
PLACES = """
    case n %% 4 when 0 then '210000' when 1 then '210100' when 2 then '210102' else '210202' end as node_code,
    case n %% 4 when 1 then '210100000000' when 2 then '210100000000' when 3 then '210200000000' end as city_code,
    case n %% 4 when 2 then '210102000000' when 3 then '210202000000' end as county_code,
    (n %% 8)::bigint as persons, 'k1:' || n as caller_name_token
"""
SEEN = {  # of 40 rows, 10 of each place: (fct_deal, fct_visit, persons shown, dim_kind); None: refused
    "bi_reader": (40, 40, 40, 40),
    "bi_province": (40, 40, 40, 40),
    "bi_public": (40, None, None, None),
    "bi_shenyang": (20, 20, 10, 40),
    "bi_dalian": (10, 10, 5, 40),
    "bi_heping": (10, 10, 5, 40),
    "bi_zhongshan_public": (10, None, None, None),
    "bi_jinzhou": (0, 0, 0, 40),
}


class Places(SqlBuilder):
    """Small marts with rows of the province, a city and two counties."""

    def _write(self, conn: psycopg.Connection[Any], mart: str, build: Build) -> None:
        super()._write(conn, mart, build)
        conn.execute(f"drop table {build.slot}.{mart}")
        conn.execute(
            f"create table {build.slot}.{mart} as select n as deal_key, {PLACES}, '{build.slot}'::text as _slot,"
            f" {build.build_id}::bigint as _build_id from generate_series(1, %s) as n",
            (self.rows,),
        )
        conn.execute(
            f"alter table {build.slot}.{mart} add check (_slot = '{build.slot}'), alter _slot set not null,"
            " alter _build_id set not null"
        )


def places(**changes: Any) -> Places:
    return Places(marts=tuple(RIGHTS), columns={}, **{"rights": RIGHTS, **changes})


def one(builder: SqlBuilder | None = None) -> Any:
    return publisher(builder or places(), probe=quality.probe)


def read(role: str, query: str) -> tuple[Any, ...] | None:
    """One row as the role, through a connection of its own; None: refused."""
    with connect(ReaderRole(role), autocommit=True) as conn:
        try:
            return conn.execute(query).fetchone()
        except psycopg.errors.InsufficientPrivilege:
            return None


def test_each_role_sees_its_divisions_up_to_its_ceiling(warehouse) -> None:
    built, _ = cycle(one())
    for role, (deals, visits, persons, kinds) in SEEN.items():
        assert read(role, "select count(*) from marts.fct_deal") == (deals,), role
        found = read(role, "select count(*), count(persons), min(persons) from marts.fct_visit")
        assert (found and found[:2]) == (None if visits is None else (visits, persons)), role
        if visits and visits < 40:
            assert found[2] >= 5, f"{role} sees figures of fewer than 5 persons"
        assert read(role, "select count(*) from marts.dim_kind") == (None if kinds is None else (kinds,)), role
        token = read(role, "select count(caller_name_token) from marts.fct_visit")
        assert token == ((40,) if role == "bi_province" else None), role
    with warehouse.admin() as admin:
        observed = admin.execute(
            "select observed from ops.check_result where suite = 'access' and is_success and build_id = %s",
            (built.build_id,),
        ).fetchall()
        roles = admin.execute("select count(*) from ops.access").fetchone()[0]
    ((numbers,),) = observed
    assert numbers["agreeing"] == numbers["roles"] * numbers["marts"] == roles * 3
    assert numbers["hidden_rows"] > 0
    assert f"{roles} roles × 3 marts, {roles * 3} of {roles * 3} as the owner counts" in quality.probe_line()
    shown = CliRunner().invoke(app, ["report"], catch_exceptions=False).stdout
    assert re.search(r"bi_heping +210102 和平区 +internal +3 of 3 +60 ", shown), shown
    shown = CliRunner().invoke(app, ["report", "--role", "bi_heping"], catch_exceptions=False).stdout
    assert re.search(r"fct_visit +internal +10 +40 +caller_name_token +persons", shown), shown
    as_json = CliRunner().invoke(app, ["report", "--json"], catch_exceptions=False).stdout
    assert len(json.loads(as_json)) == roles
    with warehouse.admin() as admin:  # default deny: groups and grants are there, and no row says what it sees
        admin.execute("delete from ops.access where role = 'bi_heping'")
    for relation in ("fct_deal", "fct_visit", "dim_kind", "publication"):
        assert read("bi_heping", f"select count(*) from marts.{relation}") == (0,), relation


def test_a_policy_is_evaluated_once_and_finds_the_index(warehouse) -> None:
    """Not per row: the subqueries of the policy are InitPlans, and the other slot is never looked at."""
    maker = one(places(rows=8_000))
    for _ in range(2):
        built, _ = cycle(maker)
        with warehouse.admin() as admin:
            admin.execute(f"create index on {built.slot}.fct_deal (node_code)")
    with connect(ReaderRole("bi_jinzhou"), autocommit=True) as conn:
        plan = "\n".join(
            line for (line,) in conn.execute("explain (analyze, costs off, timing off) select * from marts.fct_deal")
        )
    assert "InitPlan" in plan
    assert "SubPlan" not in plan
    assert "Index Cond: (node_code = ANY" in plan
    assert "never executed" in plan or "Subplans Removed: 1" in plan


# What is taken away by hand between the build and the gate, and what the gate says of it.
BROKEN = {
    "drop policy county on serve.fct_deal": "the policy county is missing",
    "alter policy city on serve.fct_deal using (true)": "the policy city is another one",
    "create policy extra on serve.fct_visit for select to yingshang_bi using (true)": "a policy extra too many",
    "alter table serve.fct_visit disable row level security": "row security is off",
    "alter table serve.fct_visit no force row level security": "not forced on its owner",
    "grant select on serve.fct_visit to yingshang_sees_public": "a grant too many: yingshang_sees_public=r",
    "grant select (caller_name_token) on marts.fct_visit to yingshang_bi": "a grant too many on caller_name_token",
    "grant select on marts.fct_deal to public": "a grant too many: PUBLIC=r",
    "alter view marts.fct_visit set (security_invoker = false)": "no security_invoker",
    "alter view marts.publication owner to yingshang_owner": "belongs to yingshang_owner",
    "create table serve.stray (secret text)": "no mart says who may see it",
    "delete from ops.access_mart where mart = 'fct_deal'": "no mart says who may see it",
    "grant usage on schema serve to yingshang_bi": "may use the schemas marts, serve",
    "update ops.access set node_codes = '{210000,210100}' where role = 'bi_heping'": "another row in ops.access",
    "insert into ops.access select 'nobody', 'nobody', '210000', 'public', 'x', now(), now(), 'x', true, '{}'":
        "role nobody sees something and is not in the registry",
    "alter role yingshang_bi_heping bypassrls": "bi_heping has rights over the server",
    "alter role yingshang_bi_heping connection limit -1": "bi_heping has no connection limit",
    "alter role yingshang_bi_heping reset statement_timeout": "bi_heping lacks the settings statement_timeout",
    "alter role yingshang_bi_heping set transaction_timeout = 0": "bi_heping lacks the settings transaction_timeout",
    "alter role yingshang_bi_heping set default_transaction_read_only = off":
        "bi_heping lacks the settings default_transaction_read_only",
    "grant pg_read_all_data to yingshang_bi_heping": "bi_heping is a member of pg_read_all_data as well",
    "grant yingshang_sees_province to yingshang_bi_heping": "bi_heping is a member of yingshang_bi, yingshang_sees_",
    "delete from ops.access where role = 'bi_heping'": "bi_heping is in the registry and has no row in ops.access",
    "delete from ops.access where role = 'bi_heping'; do $$ begin execute format('comment on role yingshang_bi_heping"
    " is %L', 'yingshang: login of the warehouse in database ' || current_database()); end $$":
        "bi_heping is no role of the registry, and is a member of",
}  # fmt: skip


def test_the_catalogue_tells_whatever_is_taken_away(warehouse) -> None:
    cycle(one())
    registry = load_access()
    with warehouse.admin() as admin:
        assert catalogue_problems(admin, registry) == []
        for statement, said in BROKEN.items():
            with admin.transaction(force_rollback=True):
                admin.execute(statement)
                problems = catalogue_problems(admin, registry)
            assert any(said in problem for problem in problems), (statement, problems)


def test_the_probe_counts_what_a_wider_policy_shows(warehouse) -> None:
    """Without a look at the catalogue: the roles' own counts differ from the owner's."""
    built, _ = cycle(one())
    registry = load_access()
    with connect("publish") as conn, conn.transaction(force_rollback=True):
        assert try_roles(conn, built.build_id, RIGHTS, registry).problems == ()
        conn.execute("alter policy county on serve.fct_deal using (node_code is not null)")
        conn.execute("grant select on marts.dim_kind, serve.dim_kind to yingshang_sees_public")
        conn.execute("alter view marts.fct_visit set (security_invoker = false)")
        problems = try_roles(conn, built.build_id, RIGHTS, registry).problems
    for said in (
        "role bi_heping, marts.fct_deal: sees 40 rows, the owner counts 10 for it of 40",
        "role bi_public, marts.dim_kind: may read _build_id",
        "role bi_heping, marts.fct_visit: sees 40 rows",
    ):
        assert any(said in problem for problem in problems), (said, problems)


def test_a_dropped_policy_stops_the_publication_and_the_next_build_mends_it(warehouse) -> None:
    maker = one()
    _, published = cycle(maker)
    with warehouse.admin() as admin:
        built = maker.build(NIGHT, "test")
        admin.execute("drop policy county on serve.fct_deal")
        with pytest.raises(AuditFailed, match=r"fct_deal: the policy county is missing.*Nothing was published"):
            maker.audit(built.build_id)
        live = "select publication_id from ops.live"
        assert admin.execute(live).fetchone() == (published.publication_id,)
        _, again = cycle(maker)
        assert admin.execute(live).fetchone() == (again.publication_id,)


# The registry from one night to the next ------------------------------------------------------------------------------

HEADER = "role,division_code,sensitivity,approver,review_date,expires_on,purpose\n"
ROW = "bi_test_analyst,{division},{sensitivity},test,2099-01-01,{expires},a test\n"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry of one role, which no other warehouse of this server has."""
    folder = tmp_path / "registry"
    shutil.copytree(PROJECT_ROOT / "include" / "registry", folder)
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(folder))
    return folder


def write(folder: Path, division: str = "210102", sensitivity: str = "internal", expires: str = "2099-12-31") -> None:
    row = ROW.format(division=division, sensitivity=sensitivity, expires=expires)
    (folder / "access.csv").write_text(HEADER + row, encoding="utf-8")


def test_an_analyst_is_added_moved_and_removed(warehouse, registry) -> None:
    """From a row of the registry to a login that works, and on to one that does not any more."""
    write(registry)
    maker = one()
    try:
        built = maker.build(NIGHT, "test")
        assert keep_access().waiting == ("bi_test_analyst",)  # only an administrator makes a login
        assert maker.audit(built.build_id).passed  # and nobody else has to wait for that
        changes, logins = apply_access(warehouse.dsn)
        assert (changes.granted, logins) == (("bi_test_analyst",), ("yingshang_bi_test_analyst",))
        cycle(maker)
        assert read("bi_test_analyst", "select count(*) from marts.fct_visit") == (10,)
        (seen,) = who_sees_what()
        assert {mart.mart: (mart.rows, mart.all_rows) for mart in seen.marts} == {
            "dim_kind": (40, 40), "fct_deal": (10, 40), "fct_visit": (10, 40),
        }  # fmt: skip
        with connect(ReaderRole("bi_test_analyst")) as conn:
            assert conn.execute("show default_transaction_read_only").fetchone() == ("on",)
            assert conn.execute("show statement_timeout").fetchone() != ("0",)

        write(registry, division="210100", sensitivity="public")
        assert keep_access().granted == ("bi_test_analyst",)
        assert read("bi_test_analyst", "select count(*) from marts.fct_deal") == (20,)
        assert read("bi_test_analyst", "select count(*) from marts.fct_visit") is None
        assert quality.probe(maker.build(NIGHT, "test").build_id).passed

        with connect(ReaderRole("bi_test_analyst"), autocommit=True) as running:
            write(registry, expires="2026-01-01")
            with pytest.raises(RegistryError, match="expires_on 2026-01-01 of bi_test_analyst is in the past"):
                apply_access(warehouse.dsn)
            cycle(maker)  # a night ends it by itself
            with pytest.raises(psycopg.OperationalError):
                running.execute("select count(*) from marts.fct_deal")
        with pytest.raises(CredentialError, match="not permitted to log in"):
            connect(ReaderRole("bi_test_analyst"))
        with warehouse.admin() as admin:
            assert admin.execute("select count(*) from ops.access").fetchone() == (0,)
            groups = "select count(*) from pg_auth_members where member = 'yingshang_bi_test_analyst'::regrole"
            assert admin.execute(groups).fetchone() == (0,)

        with pytest.raises(RegistryError, match="expires_on 2026-01-01 of bi_test_analyst is in the past"):
            CliRunner().invoke(app, ["check"], catch_exceptions=False)
        write(registry)  # approved anew: the same login and password
        assert "1 roles" in CliRunner().invoke(app, ["check"], catch_exceptions=False).stdout
        applied = CliRunner(env={DSN_VARIABLE: warehouse.dsn}).invoke(app, ["apply"], catch_exceptions=False)
        assert applied.stdout == "granted: bi_test_analyst\n"
        assert read("bi_test_analyst", "select count(*) from marts.fct_visit") == (10,)
    finally:
        with warehouse.admin() as admin:
            admin.execute("drop role if exists yingshang_bi_test_analyst")


def test_a_wrong_registry_stops_the_build_before_anything_is_done(warehouse, registry) -> None:
    write(registry, division="219999")
    with pytest.raises(RegistryError, match="unknown division '219999'"):
        one().build(NIGHT, "test")
    with warehouse.admin() as admin:
        assert admin.execute("select count(*) from ops.build").fetchone() == (0,)


def test_a_mart_without_meta_stops_the_build_before_anything_is_done(warehouse) -> None:
    class Careless(Places):
        def plan(self, slot: Any, last_success: Any) -> Plan:
            return replace(super().plan(slot, last_success), rights={"fct_deal": RIGHTS["fct_deal"]})

    with pytest.raises(BuildError, match="dim_kind, fct_visit: nothing says who may see it"):
        one(Careless(marts=tuple(RIGHTS), columns={}, rights=RIGHTS)).build(NIGHT, "test")
    with warehouse.admin() as admin:
        assert admin.execute("select count(*) from ops.build").fetchone() == (0,)


def test_the_function_of_the_publisher_changes_readers_alone(warehouse) -> None:
    with connect("publish", autocommit=True) as conn:
        for call in (
            "select ops.set_reader_groups('yingshang_owner', '{}', null)",
            "select ops.set_reader_groups('postgres', '{}', null)",
            "select ops.set_reader_groups('yingshang_bi_reader', '{yingshang_owner}', null)",
        ):
            with pytest.raises(psycopg.errors.RaiseException, match="not a reader"):
                conn.execute(call)
    for role in ("ingest", "transform", "bi_reader"):
        with connect(role, autocommit=True) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("select ops.set_reader_groups('yingshang_bi_reader', '{}', null)")
