"""A PostgreSQL node, from its exchange database into raw and the ledger."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from cryptography.fernet import Fernet
from tests.conftest import Warehouse
from tests.support.ingest import NIGHT, NODE, PgSource, admit_all, bid, lot, pg_node, run_night

from localpg import Cluster
from yingshang import secrets
from yingshang.errors import (
    ContractError,
    CredentialError,
    RejectLimitExceeded,
    SourceUnavailable,
    TerminalError,
    TransientError,
    WarehouseUnavailable,
)
from yingshang.ingest import ingest_node, node, open_night
from yingshang.settings import settings
from yingshang.warehouse import ledger
from yingshang.warehouse.ledger import Batch

MANY = """
    insert into bid_section (bid_section_code, tender_project_code, data_timestamp, is_delete, bid_section_name)
    select 'E210100' || lpad(i::text, 13, '0') || '001', 'E210100' || lpad(i::text, 13, '0'), '20240813100000', '0',
        repeat('标', 60)
    from generate_series(1, {rows}) i"""
NEXT, THIRD = NIGHT + dt.timedelta(days=1), NIGHT + dt.timedelta(days=3)


@pytest.fixture
def source(
    pg_server: Cluster, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PgSource]:
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))
    with pg_node(warehouse, pg_server, tmp_path / "registry", "lot", "bid") as source:
        yield source


def batches(warehouse: Warehouse, run_id: str, dataset: str = "lot") -> list[Batch]:
    with warehouse.connect("ingest") as connection:
        return [one for one in ledger.batches_of_run(connection, run_id) if one.dataset == dataset]


def one_batch(warehouse: Warehouse, run_id: str, dataset: str = "lot") -> Batch:
    found = batches(warehouse, run_id, dataset)
    assert len(found) == 1
    return found[0]


def count(warehouse: Warehouse, table: str) -> int:
    with warehouse.admin() as admin:
        row = admin.execute(f"select count(*) from {table}").fetchone()
        assert row is not None
        return int(row[0])


def lots_of(warehouse: Warehouse, batch_id: int) -> set[str]:
    with warehouse.admin() as admin:
        rows = admin.execute("select bid_section_code from raw.trading__lot where _batch_id = %s", (batch_id,))
        return {row[0] for row in rows.fetchall()}


def code(number: int) -> str:
    return str(lot(number)["BID_SECTION_CODE"])


def outcomes(warehouse: Warehouse, run_id: str) -> dict[str, tuple[str, str | None]]:
    with warehouse.connect("ingest") as connection:
        return {one.dataset: (one.outcome, one.error_type) for one in ledger.provision_runs(connection, run_id)}


def test_the_first_night_takes_in_everything_and_accounts_for_every_row(warehouse: Warehouse, source: PgSource) -> None:
    source.insert("lot", *(lot(n) for n in range(1, 31)), lot(7), lot(40, CREATE_TIME="20240230"))
    source.insert("bid", *(bid(n) for n in range(1, 11)))
    report = run_night("run-1")
    lots, bids = report.datasets
    assert (lots.source_rows, lots.raw_rows, lots.quarantined_rows, lots.duplicate_rows) == (32, 30, 1, 1)
    assert lots.source_rows == source.count("lot")
    assert (bids.source_rows, bids.raw_rows) == (10, 10)
    assert count(warehouse, "raw.trading__lot") == 30
    assert count(warehouse, "raw.trading__bid") == 10
    assert count(warehouse, "ops.batch_event") == 0, "loading admits nothing"
    batch = one_batch(warehouse, "run-1")
    assert (batch.cursor_low, batch.cursor_high, batch.source_clock) == (None, "20240813100000", "20240814000500")
    assert batch.profile["reasons"] == {"time:CREATE_TIME": 1}
    with warehouse.admin() as admin:
        rows = admin.execute("select _row, contract_reckon_price::text from raw.trading__lot order by _row").fetchall()
    assert rows[:2] == [(1, "1.500000"), (2, "2.500000")]


def test_a_retry_reads_nothing_again(warehouse: Warehouse, source: PgSource) -> None:
    source.insert("lot", lot(1))
    run_night("run-1")
    source.insert("lot", lot(2))
    report = ingest_node("trading", NODE, "run-1")
    assert [one.is_repeat for one in report.datasets] == [True, True]
    assert [one.outcome for one in report.datasets] == ["loaded", "nothing_to_send"]
    assert count(warehouse, "raw.trading__lot") == 1
    assert count(warehouse, "ops.batch") == 2


def test_an_empty_window_is_recorded(warehouse: Warehouse, source: PgSource) -> None:
    report = run_night("run-1")
    assert [one.outcome for one in report.datasets] == ["nothing_to_send", "nothing_to_send"]
    batch = one_batch(warehouse, "run-1")
    assert (batch.source_rows, batch.landing_uri, batch.cursor_high) == (0, None, None)


def test_the_next_night_reads_what_is_new_and_the_overlap(warehouse: Warehouse, source: PgSource) -> None:
    source.insert("lot", lot(1, stamp="20240813060000"), lot(2, stamp="20240813093000"), lot(3, stamp="20240813100000"))
    run_night("run-1")
    admit_all()
    source.set_clock("20240815000500")
    source.insert("lot", lot(4, stamp="20240814100000"))
    run_night("run-2", night=NEXT)
    batch = one_batch(warehouse, "run-2")
    assert (batch.kind, batch.cursor_low, batch.cursor_high) == ("window", "20240813080000", "20240814100000")
    assert lots_of(warehouse, batch.batch_id) == {code(2), code(3), code(4)}


def test_a_window_that_was_not_admitted_is_read_again(warehouse: Warehouse, source: PgSource) -> None:
    source.insert("lot", lot(1))
    run_night("run-1")
    source.insert("lot", lot(2, stamp="20240814100000"))
    source.set_clock("20240815000500")
    run_night("run-2", night=NEXT)
    batch = one_batch(warehouse, "run-2")
    assert batch.cursor_low is None
    assert lots_of(warehouse, batch.batch_id) == {code(1), code(2)}


def test_a_node_back_after_three_nights_catches_up(warehouse: Warehouse, source: PgSource) -> None:
    source.insert("lot", lot(1))
    run_night("run-1")
    admit_all()
    source.insert("lot", *(lot(n, stamp=f"202408{12 + n}100000") for n in (2, 3, 4)))
    source.set_clock("20240817000500")
    run_night("run-4", night=THIRD)
    batch = one_batch(warehouse, "run-4")
    assert lots_of(warehouse, batch.batch_id) == {code(1), code(2), code(3), code(4)}


def test_a_night_again_after_the_source_has_moved_on_reads_its_recorded_bounds(
    warehouse: Warehouse, source: PgSource
) -> None:
    source.insert("lot", lot(1, stamp="20240812100000"), lot(2, stamp="20240813100000"))
    run_night("run-1")
    admit_all()
    source.set_clock("20240815000500")
    source.execute("update bid_section set data_timestamp = '20240814090000' where bid_section_code = %s", code(2))
    source.insert("lot", lot(3, stamp="20240813093000"))
    run_night("run-2", night=NEXT)
    admit_all()
    run_night("run-1-again", night=NIGHT)
    batch = one_batch(warehouse, "run-1-again")
    assert (batch.kind, batch.cursor_low, batch.cursor_high) == ("reload", None, "20240813100000")
    assert lots_of(warehouse, batch.batch_id) == {code(1), code(3)}, "rows have moved on; late ones have come"
    admit_all()
    with warehouse.connect("ingest") as connection:
        visible = {one.batch_id for one in ledger.visible_batches(connection) if one.dataset == "lot"}
        reached = ledger.last_admitted_window(connection, "trading", "lot", NODE)
    assert len(visible) == 3, "a night read again hides nothing"
    assert reached is not None
    assert reached.cursor_high == "20240814090000", "and does not move the provision back"


def test_a_past_night_that_was_never_read_is_read_by_its_day(warehouse: Warehouse, source: PgSource) -> None:
    source.insert("lot", lot(1, stamp="20240812100000"), lot(2, stamp="20240813000000"), lot(3, stamp="20240814000000"))
    source.set_clock("20240817000500")
    run_night("run-4", night=THIRD)
    admit_all()
    run_night("run-1", night=NIGHT)
    batch = one_batch(warehouse, "run-1")
    assert batch.kind == "reload"
    assert lots_of(warehouse, batch.batch_id) == {code(2)}


def test_a_cursor_in_the_future_is_quarantined_and_never_moves_the_window(
    warehouse: Warehouse, source: PgSource
) -> None:
    source.insert("lot", lot(1), lot(2, stamp="20991231235959"), lot(3, stamp="20240814010000"))
    run_night("run-1")
    batch = one_batch(warehouse, "run-1")
    assert batch.cursor_high == "20240814000500", "never beyond the source's clock"
    assert batch.profile["reasons"] == {"cursor_in_future": 1}
    assert lots_of(warehouse, batch.batch_id) == {code(1), code(3)}


def test_a_row_without_cursor_is_quarantined_in_every_window(warehouse: Warehouse, source: PgSource) -> None:
    source.insert("lot", lot(1))
    run_night("run-1")
    admit_all()
    source.insert("lot", lot(2, DATA_TIMESTAMP=None))
    run_night("run-2", night=NEXT)
    assert one_batch(warehouse, "run-2").quarantined_rows == 1


def test_past_the_reject_limit_nothing_loads_and_the_other_datasets_come(
    warehouse: Warehouse, source: PgSource
) -> None:
    source.insert("lot", *(lot(n, PRICE_UNIT="9") for n in range(1, 31)))
    source.insert("bid", bid(1))
    with pytest.raises(
        RejectLimitExceeded, match=r"trading.lot of node 210100, night 2024-08-13: .*allowed:PRICE_UNIT.*came: bid"
    ):
        run_night("run-1")
    assert count(warehouse, "raw.trading__lot") == 0
    assert count(warehouse, "raw.trading__bid") == 1
    assert batches(warehouse, "run-1") == []
    assert outcomes(warehouse, "run-1") == {"lot": ("failed", "RejectLimitExceeded"), "bid": ("loaded", None)}
    with pytest.raises(RejectLimitExceeded):
        ingest_node("trading", NODE, "run-1")
    with warehouse.admin() as admin:
        kept = admin.execute("select count(*), count(batch_id) from quarantine.row").fetchone()
    assert kept == (30, 0), "the sample of the first attempt is replaced"
    assert list((settings().state / "landing" / "trading" / "lot").rglob("*")) in ([], [*_folders()])


def _folders() -> list[Path]:
    return [settings().state / "landing" / "trading" / "lot" / NIGHT.isoformat()]


def test_a_quarantined_row_can_be_read_by_who_has_the_key_and_by_nobody_else(
    warehouse: Warehouse, source: PgSource
) -> None:
    person = "210101197001010011"
    source.insert("bid", bid(1, PM_CODE=person, PRICE_UNIT="9"))
    run_night("run-1")
    with warehouse.admin() as admin:
        row = admin.execute("select row_number, reasons, payload, key_id, expires_at from quarantine.row").fetchone()
    assert row is not None
    number, reasons, payload, key_id, expires = row
    assert (number, reasons, key_id) == (1, ["allowed:PRICE_UNIT"], "q1")
    assert person.encode() not in payload
    content = json.loads(Fernet(secrets.keys().quarantine.keys[key_id]).decrypt(payload))
    assert (content["PM_CODE"], content["PRICE_UNIT"]) == (person, "9")
    assert dt.timedelta(days=89) < expires - dt.datetime.now(dt.UTC) < dt.timedelta(days=91)


def test_no_direct_identifier_is_stored_in_clear(warehouse: Warehouse, source: PgSource, tmp_path: Path) -> None:
    person = "210101197001010011"
    source.insert("bid", *(bid(n, PM_CODE=person) for n in range(1, 6)), bid(9, PM_CODE=person, PRICE_UNIT="9"))
    run_night("run-1")
    with warehouse.admin() as admin:
        tables = admin.execute(
            "select schemaname || '.' || quote_ident(tablename) from pg_tables"
            " where schemaname in ('raw', 'ops', 'quarantine')"
        ).fetchall()
        for (table,) in tables:
            found = admin.execute(f"select count(*) from {table} t where t::text like %s", (f"%{person}%",)).fetchone()
            assert found == (0,), table
    for file in settings().state.rglob("*"):
        assert file.is_dir() or person.encode() not in file.read_bytes(), file


def test_a_required_column_that_is_gone_is_a_broken_contract(warehouse: Warehouse, source: PgSource) -> None:
    source.insert("lot", lot(1))
    source.execute("alter table bid_section drop column is_delete")
    with pytest.raises(ContractError, match=r"trading.lot of node 210100, night 2024-08-13.*required IS_DELETE"):
        run_night("run-1")
    assert outcomes(warehouse, "run-1")["bid"] == ("nothing_to_send", None)


def test_other_drift_is_noted_and_loaded(warehouse: Warehouse, source: PgSource) -> None:
    source.execute("alter table bid_section drop column currency_code")
    source.execute("alter table bid_section add column note text")
    source.execute("alter table bid_section alter column price_unit type int using price_unit::int")
    row = lot(1)
    del row["CURRENCY_CODE"]
    source.insert("lot", row)
    run_night("run-1")
    batch = one_batch(warehouse, "run-1")
    assert batch.drift == {
        "extra": ["NOTE"],
        "missing": ["CURRENCY_CODE"],
        "retyped": {"PRICE_UNIT": {"contract": "string", "source": "integer"}},
    }
    with warehouse.admin() as admin:
        assert admin.execute("select price_unit, currency_code from raw.trading__lot").fetchall() == [("0", None)]


def test_a_table_that_is_not_there_costs_its_own_dataset_only(warehouse: Warehouse, source: PgSource) -> None:
    source.insert("bid", bid(1))
    source.execute("drop table bid_section")
    with pytest.raises(ContractError, match=r"trading.lot of node 210100.*there is no table bid_section"):
        run_night("run-1")
    assert count(warehouse, "raw.trading__bid") == 1


def test_a_table_that_we_may_not_read_is_a_matter_of_credentials(
    warehouse: Warehouse, source: PgSource, pg_server: Cluster
) -> None:
    login = f"reader_{warehouse.dbname}"
    source.insert("bid", bid(1))
    source.execute(f"create role {login} login password 'x'")
    source.execute(f"grant select on bidder to {login}")
    parts = urlsplit(source.dsn)
    warehouse.add_connections({f"trading_{NODE}": f"postgresql://{login}:x@127.0.0.1:{parts.port}{parts.path}"})
    try:
        with pytest.raises(
            CredentialError, match=r"trading.lot of node 210100.*does not let us read table bid_section"
        ):
            run_night("run-1")
        assert count(warehouse, "raw.trading__bid") == 1
    finally:
        source.execute(f"drop owned by {login}")
        source.execute(f"drop role {login}")


def test_all_datasets_of_a_node_are_read_in_one_snapshot(warehouse: Warehouse, source: PgSource) -> None:
    source.insert("lot", lot(1))
    source.insert("bid", bid(1))
    written: list[int] = []

    def while_lots_are_read(dataset: str, rows: int) -> None:
        if dataset == "lot":
            source.insert("lot", lot(2))
            source.insert("bid", bid(2))
            written.append(rows)

    open_night(NIGHT, "run-1")
    report = ingest_node("trading", NODE, "run-1", on_progress=while_lots_are_read)
    assert written
    assert [one.raw_rows for one in report.datasets] == [1, 1], "the bid of a lot that was not read is not read either"


def test_a_great_batch_is_landed_and_copied_while_it_is_read(
    warehouse: Warehouse, source: PgSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.execute(
        """insert into bid_section (bid_section_code, tender_project_code, data_timestamp, is_delete, price_unit,
            contract_reckon_price, bid_section_name)
        select 'E210100' || lpad(i::text, 13, '0') || '001', 'E210100' || lpad(i::text, 13, '0'),
            to_char(timestamp '2024-01-01' + i * interval '10 seconds', 'YYYYMMDDHH24MISS'), '0',
            case when mod(i, 997) = 0 then '9' else '0' end, i * 0.01, repeat('标', 40)
        from generate_series(1, 120000) i union all select 'E210100' || lpad('5', 13, '0') || '001',
            'E210100' || lpad('5', 13, '0'), '20240101000050', '0', '0', 0.05, repeat('标', 40)"""
    )
    run_night("run-1")
    batch = one_batch(warehouse, "run-1")
    assert (batch.source_rows, batch.quarantined_rows, batch.duplicate_rows) == (120_001, 120, 1)
    assert count(warehouse, "raw.trading__lot") == batch.raw_rows == 119_880
    assert count(warehouse, "quarantine.row") == 120
    with warehouse.admin() as admin:
        total = admin.execute("select sum(contract_reckon_price), max(_row) from raw.trading__lot").fetchone()
    expected = source.execute("select sum(distinct contract_reckon_price) from bid_section where price_unit = '0'")
    assert total == (expected[0][0], 120_000)


def test_an_attempt_that_still_runs_is_not_raced(
    warehouse: Warehouse, source: PgSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "LOCK_SECONDS", 0.3)
    open_night(NIGHT, "run-1")
    with warehouse.connect("ingest") as other:
        other.execute("select pg_advisory_lock(%s, hashtext(%s))", (node.LOCK_CLASS, f"trading/{NODE}"))
        with pytest.raises(TransientError, match="another ingest of trading of node 210100 is running"):
            ingest_node("trading", NODE, "run-1")
    assert ingest_node("trading", NODE, "run-1").datasets


def test_a_source_that_does_not_answer_is_transient_and_stands_in_the_matrix(
    warehouse: Warehouse, source: PgSource
) -> None:
    warehouse.add_connections({f"trading_{NODE}": "postgresql://u:secretpassword@127.0.0.1:1/front"})
    with pytest.raises(SourceUnavailable, match=r"trading.lot of node 210100, night 2024-08-13.*does not answer") as no:
        run_night("run-1")
    assert "secretpassword" not in str(no.value)
    assert outcomes(warehouse, "run-1") == {
        "lot": ("failed", "SourceUnavailable"),
        "bid": ("failed", "SourceUnavailable"),
    }
    warehouse.add_connections({f"trading_{NODE}": source.dsn})
    ingest_node("trading", NODE, "run-1")
    assert outcomes(warehouse, "run-1")["lot"] == ("nothing_to_send", None)


def test_a_source_that_breaks_off_in_the_middle_leaves_nothing(warehouse: Warehouse, source: PgSource) -> None:
    source.execute(MANY.format(rows=150_000))
    open_night(NIGHT, "run-1")
    cut: list[int] = []

    def cut_off(dataset: str, rows: int) -> None:
        cut.append(rows)
        if len(cut) == 3:
            with psycopg.connect(source.dsn, autocommit=True) as killer:
                killer.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and pid <> pg_backend_pid()"
                )

    with pytest.raises(SourceUnavailable, match=r"trading.lot of node 210100"):
        ingest_node("trading", NODE, "run-1", on_progress=cut_off)
    assert len(cut) >= 3
    assert count(warehouse, "raw.trading__lot") == 0
    assert batches(warehouse, "run-1") == []
    assert not list(settings().state.rglob("*.parquet*"))
    ingest_node("trading", NODE, "run-1")
    assert count(warehouse, "raw.trading__lot") == 150_000


def test_a_warehouse_that_breaks_off_in_the_middle_of_copy_is_transient(warehouse: Warehouse, source: PgSource) -> None:
    source.execute(MANY.format(rows=150_000))
    open_night(NIGHT, "run-1")
    pieces: list[int] = []

    def cut_off(dataset: str, rows: int) -> None:
        pieces.append(rows)
        if len(pieces) == 8:
            with warehouse.admin() as killer:
                killer.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and application_name = 'yingshang_load'"
                )

    with pytest.raises(WarehouseUnavailable, match=r"trading.lot of node 210100, night 2024-08-13: the warehouse"):
        ingest_node("trading", NODE, "run-1", on_progress=cut_off)
    assert count(warehouse, "raw.trading__lot") == 0
    assert outcomes(warehouse, "run-1")["bid"] == ("nothing_to_send", None)
    assert not list(settings().state.rglob("*.parquet*"))
    ingest_node("trading", NODE, "run-1")
    assert count(warehouse, "raw.trading__lot") == 150_000


def test_a_fault_of_the_program_quotes_no_row(
    warehouse: Warehouse, source: PgSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("cannot convert 210101197001010011")

    source.insert("lot", lot(1))
    source.insert("bid", bid(1))
    monkeypatch.setattr("yingshang.ingest.batch.landed_rows", broken)
    with pytest.raises(TerminalError, match=r"trading.lot of node 210100.*ValueError.*fault of the program") as raised:
        run_night("run-1")
    assert "210101197001010011" not in str(raised.value)
    assert outcomes(warehouse, "run-1")["lot"] == ("failed", "UnexpectedError")


@pytest.mark.parametrize("missing", ["connection", "keys"])
def test_without_connection_or_keys_it_is_said_where_they_were_looked_for(
    warehouse: Warehouse, source: PgSource, missing: str
) -> None:
    if missing == "keys":
        settings().keys.unlink()
    else:
        known = json.loads(settings().connections.read_text())
        del known[f"trading_{NODE}"]
        settings().connections.write_text(json.dumps(known))
    with pytest.raises(CredentialError, match=r"keys.json|no connection 'trading_210100'"):
        run_night("run-1")


def test_a_contract_that_raw_does_not_know_yet_is_said(warehouse: Warehouse, source: PgSource) -> None:
    source.insert("lot", lot(1))
    with warehouse.admin() as admin:
        admin.execute("drop table raw.trading__lot cascade")
    with pytest.raises(TerminalError, match="yingshang warehouse init"):
        run_night("run-1")
