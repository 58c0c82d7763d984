"""Migrations, raw tables derived from contracts, and who may touch what."""

import dataclasses
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest

from yingshang.contracts import Column, load_contracts
from yingshang.errors import ContractError, WarehouseUnavailable
from yingshang.warehouse import PgConnection, connect, session
from yingshang.warehouse.migrate import DDL, MigrationError, migrate, read_migrations
from yingshang.warehouse.raw import sync_raw

CONTRACTS = load_contracts()
LOT = CONTRACTS["trading.lot"]
NEW_COLUMN = Column("FLOOR_AREA", "建筑面积", "Floor area.", "decimal", required=False, maximum=1, minimum=0, unit="m²")


# --- migrations -------------------------------------------------------------------------------------------------------


def test_migrating_again_does_nothing(warehouse) -> None:
    with session("owner", autocommit=True) as connection:
        assert migrate(connection) == []


def test_a_file_that_changed_after_it_was_applied_is_refused(warehouse, tmp_path: Path) -> None:
    shutil.copytree(DDL, tmp_path / "ddl")
    changed = tmp_path / "ddl" / "002_roles.sql"
    changed.write_text(changed.read_text() + "-- a late thought\n")
    with (
        session("owner", autocommit=True) as connection,
        pytest.raises(MigrationError, match=r"002_roles.sql has changed since it was applied"),
    ):
        migrate(connection, folder=tmp_path / "ddl")


def test_an_older_program_does_not_touch_a_newer_warehouse(warehouse, tmp_path: Path) -> None:
    (tmp_path / "001_ledger.sql").write_text((DDL / "001_ledger.sql").read_text())
    with (
        session("owner", autocommit=True) as connection,
        pytest.raises(MigrationError, match=r"has 002_roles.sql, which this program does not know"),
    ):
        migrate(connection, folder=tmp_path)


def test_a_file_that_fails_leaves_nothing_and_is_named(warehouse, tmp_path: Path) -> None:
    shutil.copytree(DDL, tmp_path / "ddl")
    (tmp_path / "ddl" / "900_broken.sql").write_text("create table ops.half (a int); select * from ops.nothing;")
    with session("owner", autocommit=True) as connection:
        with pytest.raises(MigrationError, match=r"900_broken.sql failed: .*ops.nothing"):
            migrate(connection, folder=tmp_path / "ddl")
        assert connection.execute("select to_regclass('ops.half')").fetchone() == (None,)
        assert migrate(connection) == []


def test_two_migrations_at_once_apply_each_file_once(warehouse, tmp_path: Path) -> None:
    shutil.copytree(DDL, tmp_path / "ddl")
    (tmp_path / "ddl" / "900_more.sql").write_text("select pg_sleep(0.3); create table ops.more (a int);")
    applied: list[str] = []

    def run() -> None:
        with session("owner", autocommit=True) as connection:
            applied.extend(one.name for one in migrate(connection, folder=tmp_path / "ddl"))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert applied == ["900_more"]


@pytest.mark.parametrize("names", [["1_ledger.sql"], ["001_a.sql", "001_b.sql"]])
def test_misnamed_files_are_refused(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("")
    with pytest.raises(MigrationError):
        read_migrations(tmp_path)


# --- raw --------------------------------------------------------------------------------------------------------------


def columns(warehouse, table: str) -> dict[str, str]:
    with warehouse.admin() as admin:
        return dict(
            admin.execute(
                "select attname::text, format_type(atttypid, atttypmod) from pg_attribute"
                " where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum",
                (table,),
            ).fetchall()
        )


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS.keys())
def test_raw_has_the_contracts_columns_and_those_of_the_load(warehouse, contract) -> None:
    found = columns(warehouse, f"raw.{contract.raw_table}")
    expected = {column.raw_name: column.sql_type for column in contract.columns}
    assert found == {**expected, "_batch_id": "bigint", "_row": "bigint", "_digest": "bytea"}


def test_raw_is_indexed_by_key_and_by_batch(warehouse) -> None:
    with warehouse.admin() as admin:
        found = {
            line.split(" USING ")[1]
            for (line,) in admin.execute("select indexdef from pg_indexes where tablename = 'trading__bid'").fetchall()
        }
    assert found == {"btree (bid_section_code, bidder_org_code)", "btree (_batch_id)"}


def test_a_contract_that_grows_adds_a_column_and_keeps_rows(warehouse) -> None:
    grown = dataclasses.replace(LOT, columns=(*LOT.columns, NEW_COLUMN))
    with session("ingest") as connection:
        connection.execute(
            "insert into raw.trading__lot (bid_section_code, _batch_id, _row, _digest) values ('x', 1, 1, '\\x00')"
        )
    with session("owner", autocommit=True) as connection:
        assert sync_raw(connection, CONTRACTS) == []
        assert sync_raw(connection, {LOT.name: grown}) == ["raw.trading__lot: column floor_area added"]
        assert sync_raw(connection, {LOT.name: grown}) == []
        assert sync_raw(connection, CONTRACTS) == []  # an older contract: the column stays
    assert columns(warehouse, "raw.trading__lot")["floor_area"] == "numeric(20,6)"
    with session("transform") as connection:
        assert connection.execute("select bid_section_code, floor_area from raw.trading__lot").fetchall() == [
            ("x", None)
        ]


def test_a_contract_that_changes_a_type_is_refused(warehouse) -> None:
    changed = tuple(
        dataclasses.replace(column, kind="integer") if column.name == "PRICE_UNIT" else column for column in LOT.columns
    )
    with (
        session("owner", autocommit=True) as connection,
        pytest.raises(ContractError, match=r"trading.lot: the contract makes PRICE_UNIT a integer \(bigint\), but raw"),
    ):
        sync_raw(connection, {LOT.name: dataclasses.replace(LOT, columns=changed)})


def test_a_changed_description_reaches_the_comment(warehouse) -> None:
    changed = tuple(
        dataclasses.replace(column, description="Another.") if column.name == "PRICE_UNIT" else column
        for column in LOT.columns
    )
    with session("owner", autocommit=True) as connection:
        sync_raw(connection, {LOT.name: dataclasses.replace(LOT, columns=changed)})
    with warehouse.admin() as admin:
        row = admin.execute(
            "select col_description(attrelid, attnum) from pg_attribute"
            " where attrelid = 'raw.trading__lot'::regclass and attname = 'price_unit'"
        ).fetchone()
    assert row == ("价格单位. Another.",)


# --- rights -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["ingest", "transform", "publish"])
def test_raw_is_append_only_for_every_working_role(warehouse, role) -> None:
    for statement in (
        "update raw.trading__lot set price_unit = '0'",
        "delete from raw.trading__lot",
        "truncate raw.trading__lot",
    ):
        with warehouse.connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


@pytest.mark.parametrize("table", ["raw.trading__lot", "ops.batch", "ops.live", "quarantine.row"])
def test_a_reader_is_refused_everything_but_marts_by_name(warehouse, table: str) -> None:
    with (
        warehouse.connect("bi_reader") as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for schema"),
    ):
        connection.execute(f"select * from {table}")


def test_a_reader_cannot_write_and_has_limits_shorter_than_a_publication_waits(warehouse) -> None:
    with warehouse.connect("bi_reader") as connection:
        limits = [
            connection.execute(f"show {name}").fetchone()
            for name in ("statement_timeout", "transaction_timeout", "idle_in_transaction_session_timeout")
        ]
        assert limits == [("54s",)] * 3
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("create table marts.mine (a int)")


def test_quarantined_payloads_are_for_ingest_alone(warehouse) -> None:
    for role in ("transform", "publish", "bi_reader"):
        with warehouse.connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select payload from quarantine.row")


def test_no_working_role_may_forge_the_order_of_events(warehouse) -> None:
    with warehouse.connect("transform") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("insert into ops.batch_event (seq, batch_id, event, reason) values (1, 1, 'admitted', '')")


# --- connections ------------------------------------------------------------------------------------------------------


def test_a_warehouse_that_breaks_off_is_worth_another_try(warehouse) -> None:
    with (
        warehouse.admin() as admin,
        pytest.raises(WarehouseUnavailable, match="the warehouse broke off"),
        session("ingest") as connection,
    ):
        admin.execute("select pg_terminate_backend(%s)", (connection.info.backend_pid,))
        connection.execute("select 1")


def test_the_back_end_of_a_killed_task_ends_and_cannot_race_its_retry(warehouse) -> None:
    with warehouse.admin() as admin:
        admin.execute(f"alter database {warehouse.dbname} set client_connection_check_interval = 0")  # ours must win
        program = (
            "from yingshang.warehouse import connect\n"
            "connect('ingest', application_name='doomed').execute('select pg_sleep(120)')"
        )
        task = subprocess.Popen([sys.executable, "-c", program])
        running = "select count(*) from pg_stat_activity where application_name = 'doomed' and state = 'active'"
        try:
            assert _becomes(admin, running, 1, seconds=60)
        finally:
            task.kill()
            task.wait(10)
        assert _becomes(admin, running, 0, seconds=10)


def _becomes(connection: PgConnection, query: str, expected: int, *, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if connection.execute(query).fetchone() == (expected,):
            return True
        time.sleep(0.1)
    return False


def test_an_error_rolls_the_session_back(warehouse) -> None:
    with pytest.raises(ZeroDivisionError), session("ingest") as connection:
        connection.execute("insert into ops.night_run (run_id, night) values ('r', '2024-08-13')")
        1 / 0  # noqa: B018
    with session("ingest") as connection:
        assert connection.execute("select count(*) from ops.night_run").fetchone() == (0,)


def test_timeouts_are_those_asked_for(warehouse) -> None:
    with connect("ingest", statement_timeout=0.2, lock_timeout=7) as connection:
        assert connection.execute("show lock_timeout").fetchone() == ("7s",)
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("select pg_sleep(5)")
