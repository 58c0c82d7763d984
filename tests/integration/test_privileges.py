"""The technical roles cannot do each other's work: what PostgreSQL says of each, and what it answers when they try."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from tests.conftest import TEMPLATE, Warehouse, use_state
from tests.support.publishing import cycle, publisher

from localpg import Cluster
from yingshang.settings import PROJECT_ROOT
from yingshang.warehouse import ROLES, Role
from yingshang.warehouse.roles import init_warehouse

PAGE = PROJECT_ROOT / "docs" / "reference" / "privileges.md"
TABLE_VERBS = ("select", "insert", "update", "delete", "truncate")

HELD = """
select n.nspname,
    has_schema_privilege(%(login)s, n.oid, 'usage'), has_schema_privilege(%(login)s, n.oid, 'create'),
    array(
        select verb from unnest(%(verbs)s::text[]) as verb
        where exists (
            select from pg_class as c
            where c.relnamespace = n.oid and c.relkind in ('r', 'p', 'v', 'm')
                and case
                    when verb in ('delete', 'truncate') then has_table_privilege(%(login)s, c.oid, verb)
                    else has_any_column_privilege(%(login)s, c.oid, verb)
                end
        )
    )
from pg_namespace as n
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
"""


def expected() -> dict[str, dict[str, set[str]]]:
    """Schema -> role -> verbs, as the page says."""
    rows = [
        line.strip("| ").split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")
    ]
    cells = [[cell.strip() for cell in row] for row in rows]
    head = next(row for row in cells if row[0] == "schema")
    body = cells[cells.index(head) + 2 :]
    assert head[1:] == list(ROLES)
    return {
        row[0].strip("`"): {role: set((row[at] if at < len(row) else "").split()) for at, role in enumerate(ROLES, 1)}
        for row in body
    }


def held(admin: psycopg.Connection, login: str) -> dict[str, set[str]]:
    """Schema -> verbs, as PostgreSQL says, memberships and PUBLIC included."""
    found = admin.execute(HELD, {"login": login, "verbs": list(TABLE_VERBS)}).fetchall()
    return {
        schema: {*verbs, *(["usage"] if usage else []), *(["create"] if create else [])}
        for schema, usage, create, verbs in found
    }


@pytest.fixture(scope="module")
def published(
    pg_server: Cluster, warehouse_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouse]:
    """A warehouse with a publication, prepared by `init` itself: rights on a database are not copied with it."""
    state = Path(shutil.copytree(warehouse_template, tmp_path_factory.mktemp("privileges") / "state"))
    name = f"privileges_{os.getpid()}"
    dsn = pg_server.superuser_dsn(name)
    with (
        pytest.MonkeyPatch.context() as patch,
        psycopg.connect(pg_server.superuser_dsn(), autocommit=True) as admin,
    ):
        use_state(patch, state)
        admin.execute(f"create database {name} template {TEMPLATE}")
        try:
            init_warehouse(dsn)
            for _ in range(2):  # both slots have tables then
                cycle(publisher())
            yield Warehouse(dsn=dsn, state=state)
        finally:
            admin.execute(f"drop database {name} with (force)")


def differences(admin: psycopg.Connection, wanted: Mapping[str, Mapping[str, set[str]]]) -> list[str]:
    found = {role: held(admin, f"yingshang_{role}") for role in ROLES}
    wrong = {
        (role, schema): found[role].get(schema, set()) ^ wanted.get(schema, {}).get(role, set())
        for role in ROLES
        for schema in {*wanted, *found[role]}
    }
    return [f"{role} on {schema}: {' '.join(sorted(verbs))}" for (role, schema), verbs in wrong.items() if verbs]


def test_each_login_may_do_in_each_schema_what_the_page_says_and_no_more(published: Warehouse) -> None:
    with published.admin() as admin:
        assert differences(admin, expected()) == []


@pytest.mark.parametrize(
    ("grant", "told"),
    [
        ("grant delete on raw.trading__lot to yingshang_ingest", "ingest on raw: delete"),
        ("grant select on quarantine.row to yingshang_transform", "transform on quarantine: select"),
        ("grant usage on schema serve to yingshang_bi_reader", "bi_reader on serve: usage"),
        ("grant create on schema public to public", "bi_reader on public: create"),
        ("revoke insert on quarantine.row from yingshang_ingest", "ingest on quarantine: insert"),
    ],
)
def test_one_right_too_many_or_too_few_is_seen(published: Warehouse, grant: str, told: str) -> None:
    with published.admin(autocommit=False) as admin:
        admin.execute(grant)
        assert told in differences(admin, expected())
        admin.rollback()


@dataclass(frozen=True)
class Work:
    """A statement that is the work of some logins; all others are refused it."""

    whose: frozenset[str]
    statement: str


LOAD = "insert into raw.trading__lot (_batch_id, _row, _digest) values (1, 1, '')"
BATCH = (
    "insert into quarantine.row (run_id, system, dataset, node_code, night, row_number, reasons, payload, key_id,"
    " expires_at) values ('r', 's', 'd', 'n', '2024-08-13', 1, '{}', '', 'q1', now())"
)
WORKS = {
    "changes the tables of raw": Work(frozenset({"owner"}), "alter table raw.trading__lot add column more text"),
    "changes the ledger's tables": Work(frozenset({"owner"}), "alter table ops.batch add column more text"),
    "makes a schema": Work(frozenset({"owner"}), "create schema another"),
    "loads rows": Work(frozenset({"owner", "ingest"}), LOAD),
    "changes what was loaded": Work(frozenset({"owner"}), "update raw.trading__lot set _row = 2"),
    "removes what was loaded": Work(frozenset({"owner"}), "delete from raw.trading__lot"),
    "reads quarantined rows": Work(frozenset({"owner", "ingest"}), "select payload from quarantine.row"),
    "quarantines rows": Work(frozenset({"owner", "ingest"}), BATCH),
    "removes expired rows": Work(
        frozenset({"owner", "ingest"}), "delete from quarantine.row where expires_at <= now()"
    ),
    "changes a quarantined row": Work(frozenset({"owner"}), "update quarantine.row set payload = ''"),
    "admits batches": Work(
        frozenset({"owner", "ingest", "publish"}), "select ops.record_events('{}', 'admitted', 'x')"
    ),
    "changes an event": Work(frozenset({"owner"}), "update ops.batch_event set reason = 'x'"),
    "changes a batch": Work(frozenset({"owner"}), "update ops.batch set raw_rows = 0"),
    "reads raw": Work(frozenset({"owner", "ingest", "transform", "publish"}), "select * from raw.trading__lot"),
    "builds a slot": Work(frozenset({"owner", "transform", "publish"}), "create table slot_b.mine (id int)"),
    "changes a built table": Work(frozenset({"transform", "publish"}), "delete from slot_a.fct_deal"),
    "flips the live slot": Work(frozenset({"owner", "publish"}), "update ops.live set flipped_at = now()"),
    "moves a slot's state": Work(frozenset({"owner", "publish"}), "update ops.slot set reason = 'x'"),
    "serves a mart": Work(frozenset({"owner", "publish"}), "create table serve.mine (id int)"),
    "shows a mart": Work(frozenset({"owner", "publish"}), "create view marts.mine as select 1 as one"),
    "replaces a mart": Work(frozenset({"publish"}), "alter view marts.fct_deal rename to other"),
    "describes a mart": Work(frozenset({"publish"}), "comment on view marts.fct_deal is 'x'"),
    "reads the marts": Work(frozenset({"publish", "bi_reader"}), "select count(*) from marts.fct_deal"),
    "makes a temporary table": Work(
        frozenset({"owner", "ingest", "transform", "publish"}), "create temporary table mine (id int)"
    ),
    "makes a function for all": Work(
        frozenset(), "create function public.mine() returns int language sql as 'select 1'"
    ),
    "makes a role": Work(frozenset(), "create role another"),
    "becomes the owner": Work(frozenset({"owner"}), "set local role yingshang_owner"),
    "reads passwords": Work(frozenset(), "select rolpassword from pg_authid"),
    "reads a file of the server": Work(frozenset(), "select pg_read_file('PG_VERSION')"),
    "runs a program on the server": Work(frozenset(), "copy (select 1) to program 'cat'"),
    "passes by row policies": Work(frozenset(), "alter role current_user bypassrls"),
}


@pytest.mark.parametrize("role", ROLES)
def test_each_login_does_its_own_work_and_is_refused_that_of_the_others(published: Warehouse, role: Role) -> None:
    done: dict[str, bool] = {}
    with published.connect(role, autocommit=True) as connection:
        connection.execute("set default_transaction_read_only = off")  # a courtesy of the role, not its limit
        for name, work in WORKS.items():
            done[name] = _is_allowed(connection, work.statement)
    wanted = {name: role in work.whose for name, work in WORKS.items()}
    assert {name: can for name, can in done.items() if can != wanted[name]} == {}


def _is_allowed(connection: psycopg.Connection, statement: str) -> bool:
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement.encode())
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def test_no_login_is_more_than_a_login(published: Warehouse) -> None:
    with published.admin() as admin:
        rows = admin.execute(
            "select rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolpassword"
            " from pg_authid where rolname = any(%s)",
            ([f"yingshang_{role}" for role in ROLES],),
        ).fetchall()
        members = admin.execute(
            "select m.rolname, g.rolname from pg_auth_members"
            " join pg_roles as m on m.oid = member join pg_roles as g on g.oid = roleid"
            " where inherit_option and m.rolname = any(%s) order by 1, 2",
            ([f"yingshang_{role}" for role in ROLES],),
        ).fetchall()
    assert len(rows) == len(ROLES)
    for name, *powers, password in rows:
        assert powers == [False] * 5, name
        assert str(password).startswith("SCRAM-SHA-256$"), name
    of_publish = [group for member, group in members if member == "yingshang_publish"]  # rights without asking for them
    assert of_publish == ["pg_read_all_stats", "pg_signal_backend", "yingshang_transform"]
    workers = {f"yingshang_{role}" for role in ("owner", "ingest", "transform")}
    assert [pair for pair in members if pair[0] in workers] == []


def test_the_embedded_server_takes_passwords_by_scram_only_and_listens_on_loopback(pg_server: Cluster) -> None:
    with psycopg.connect(pg_server.superuser_dsn()) as admin:
        methods = admin.execute("select distinct auth_method from pg_hba_file_rules").fetchall()
        (listens,) = admin.execute("show listen_addresses").fetchone() or ("",)
        (coding,) = admin.execute("show password_encryption").fetchone() or ("",)
    assert (methods, listens, coding) == ([("scram-sha-256",)], "127.0.0.1", "scram-sha-256")


def test_another_database_of_the_server_is_closed_to_strangers(published: Warehouse) -> None:
    with published.admin() as admin:
        row = admin.execute("select datacl::text from pg_database where datname = current_database()").fetchone()
    assert row and not re.search(r"[{,]=", str(row[0])), f"PUBLIC has rights on the database: {row[0]}"
