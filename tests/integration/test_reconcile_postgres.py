"""Silent differences of a PostgreSQL source: found by digests of buckets, repaired in one batch, or asked about."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from tests.conftest import Warehouse
from tests.support.ingest import CLOCK, NIGHT, NODE, Fleet, PgSource, bid, lot, pg_node, pg_source, run_night
from tests.support.visible import live_rows

from localpg import Cluster
from yingshang.errors import ContractError, UsageError, WarehouseUnavailable
from yingshang.ingest import reconcile_repair
from yingshang.ingest.reconcile import NodeComparison, acceptance, is_mass_delete, mass_delete, reconcile_node
from yingshang.quality import run_landing_gate
from yingshang.warehouse.reconciliations import Reconciliation

ROWS = 300
LATE = "20240813110000"
"""A cursor that the admitted window has passed by more than its overlap: the greatest is 20:00."""


def code(number: int) -> str:
    return str(lot(number)["BID_SECTION_CODE"])


@pytest.fixture
def source(
    warehouse: Warehouse, pg_server: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PgSource]:
    """300 lots and a bid, admitted."""
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))
    with pg_node(warehouse, pg_server, tmp_path / "registry", "lot", "bid", clock=CLOCK) as found:
        found.insert("lot", *(lot(number, stamp=f"2024081310{number % 60:02d}00") for number in range(1, ROWS)))
        found.insert("lot", lot(ROWS, stamp="20240813200000", CONTRACT_RECKON_PRICE=None, CREATE_TIME=""))
        found.insert("bid", bid(1))
        run_night("run-1")
        run_landing_gate("run-1")
        yield found


def compare(run_id: str, *, dry_run: bool = False) -> Reconciliation:
    """Compare the lots."""
    report = reconcile_node("trading", NODE, run_id, datasets=["lot"], dry_run=dry_run)
    (one,) = report.compared
    return one


def judged(run_id: str) -> NodeComparison:
    report = reconcile_node("trading", NODE, run_id)
    for run in report.runs:
        assert run_landing_gate(run).refused == ()
    return report


def found(one: Reconciliation) -> tuple[int, int, int, int]:
    return one.lost_rows, one.changed_rows, one.deleted_rows, one.rejected_rows


def latest(warehouse: Warehouse) -> dict[str, tuple[Any, ...]]:
    """What the models see: (name, price, cursor) of live lots."""
    with warehouse.admin() as admin:
        rows = admin.execute(
            sql.SQL(
                "select bid_section_code, bid_section_name, contract_reckon_price, data_timestamp from ({}) live"
            ).format(live_rows("trading.lot"))
        ).fetchall()
    return {row[0]: row[1:] for row in rows}


def at_source(source: PgSource) -> dict[str, tuple[Any, ...]]:
    rows = source.execute(
        "select bid_section_code, bid_section_name, contract_reckon_price, data_timestamp from bid_section"
        " where is_delete = '0' and price_unit = '0'"
    )
    return {row[0]: row[1:] for row in rows}


def test_what_is_the_same_is_found_to_be_the_same_and_moves_little(source: PgSource) -> None:
    report = reconcile_node("trading", NODE, "same")
    lots, bids = sorted(report.compared, key=lambda one: -one.source_rows)
    assert (lots.outcome, bids.outcome) == ("same", "same")
    assert (lots.source_rows, lots.warehouse_rows, lots.differences) == (ROWS - 1, ROWS - 1, 0)
    assert lots.pending_rows == 1, "the row of 20:00 lies in the overlap of the next window"
    assert lots.bytes_moved < lots.bytes_full / 50
    assert report.runs == ()


def test_silent_differences_are_found_and_repaired(warehouse: Warehouse, source: PgSource) -> None:
    source.insert("lot", *(lot(number, stamp=LATE) for number in range(1001, 1004)))
    source.execute(
        "update bid_section set bid_section_name = '改' where bid_section_code = any(%s)", [code(1), code(2)]
    )
    source.execute("update bid_section set data_timestamp = '20240813010101', contract_reckon_price = 7"
                   " where bid_section_code = %s", code(3))  # fmt: skip
    source.execute("delete from bid_section where bid_section_code = any(%s)", [code(n) for n in range(4, 8)])
    source.execute("update bid_section set is_delete = '1' where bid_section_code = %s", code(8))
    seen = compare("dry", dry_run=True)
    assert (seen.outcome, found(seen)) == ("same", (3, 3, 5, 0))
    assert seen.bytes_moved < seen.bytes_full / 2
    (done, _) = judged("real").compared
    assert (done.outcome, found(done)) == ("repaired", (3, 3, 5, 0))
    here = latest(warehouse)
    assert here.keys() == at_source(source).keys()
    assert here[code(1)][0] == "改"
    assert here[code(3)][1:] == (7, "20240813100300"), "a cursor set back takes that of the version it replaces"
    again = compare("again")
    assert (again.outcome, found(again)) == ("same", (0, 0, 0, 0))
    with warehouse.admin() as admin:
        kinds = admin.execute(
            "select kind, count(*), count(key) from ops.reconciliation_difference group by 1 order by 1"
        ).fetchall()
        batch = admin.execute(
            "select kind, night, source_rows, raw_rows from ops.batch where batch_id = %s", [done.batch_id]
        ).fetchone()
    assert kinds == [("changed", 3, 3), ("deleted", 5, 5), ("lost", 3, 3)]
    assert batch == ("reconcile", NIGHT, 11, 11)


def test_what_the_next_night_reads_is_left_to_it(warehouse: Warehouse, source: PgSource) -> None:
    source.insert("lot", lot(2001, stamp="20240813190000"), lot(2002, stamp="20240814000100"))
    source.execute("update bid_section set data_timestamp = '20240814000200' where bid_section_code = %s", code(5))
    one = compare("pending")
    assert (one.outcome, found(one), one.pending_rows) == ("same", (0, 0, 0, 0), 4)


def test_a_row_that_breaks_the_contract_is_named_and_not_asked_about_again(
    warehouse: Warehouse, source: PgSource
) -> None:
    source.insert("lot", lot(3001, stamp=LATE, PRICE_UNIT="9"), lot(3002, stamp=LATE))
    source.execute("update bid_section set price_unit = '8' where bid_section_code = %s", code(9))
    one = judged("first").compared[0]
    assert (one.outcome, found(one)) == ("repaired", (1, 0, 0, 2))
    with warehouse.admin() as admin:
        reasons = admin.execute("select distinct reasons from ops.reconciliation_difference where kind = 'rejected'")
        assert reasons.fetchall() == [(["allowed:PRICE_UNIT"],)]
    again = compare("second")
    assert (again.outcome, found(again)) == ("same", (0, 0, 0, 2))
    assert len(latest(warehouse)) == ROWS + 1


def test_forty_percent_gone_at_once_is_asked_about(warehouse: Warehouse, source: PgSource) -> None:
    source.execute("delete from bid_section where bid_section_code > %s", code(180))
    source.insert("lot", lot(4001, stamp=LATE))
    tried = compare("dry", dry_run=True)
    assert str(mass_delete([tried])).endswith("a run would change nothing of it and ask you"), "there is no number yet"
    one = compare("blocked")
    assert f"--accept-deletes {one.reconciliation_id} " in str(mass_delete([one]))
    assert (one.outcome, found(one)) == ("blocked", (1, 0, 120, 0))
    assert len(latest(warehouse)) == ROWS
    blocked, accept = acceptance(one.reconciliation_id or 0, reason="the node says so", actor="test")
    assert blocked == one
    report = reconcile_node("trading", NODE, "accepted", datasets=["lot"], accept=accept)
    assert [(each.outcome, each.accepts) for each in report.compared] == [("repaired", one.reconciliation_id)]
    for run in report.runs:
        assert run_landing_gate(run).refused == ()
    assert latest(warehouse).keys() == at_source(source).keys()
    with pytest.raises(UsageError, match="compared again"):
        acceptance(one.reconciliation_id or 0, reason="once more")


def test_all_gone_is_asked_about_however_few_there_were(warehouse: Warehouse, source: PgSource) -> None:
    source.insert("bid", bid(2, stamp="20240814000100"))
    source.execute("delete from bidder where data_timestamp < '20240814'")
    source.insert("bid", *(bid(number, stamp="20240813070000") for number in (3, 4, 5)))
    judged("three more")
    source.execute("delete from bidder where data_timestamp < '20240814'")
    bids = next(one for one in reconcile_node("trading", NODE, "gone").compared if one.dataset == "bid")
    assert (bids.outcome, bids.deleted_rows, bids.warehouse_rows) == ("blocked", 3, 3)


def test_a_repair_that_breaks_off_leaves_nothing_and_is_done_by_the_next_try(
    warehouse: Warehouse, source: PgSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.insert("lot", lot(6001, stamp=LATE))
    source.execute("delete from bid_section where bid_section_code = %s", code(7))

    landed = set(warehouse.state.rglob("*.parquet*"))

    def broken(*_: object) -> None:
        raise psycopg.OperationalError("the connection is lost")

    with monkeypatch.context() as patch:
        patch.setattr(reconcile_repair, "insert_reconciliation", broken)
        with pytest.raises(WarehouseUnavailable, match=r"trading\.lot of node 210100"):
            reconcile_node("trading", NODE, "twice")
    with warehouse.admin() as admin:
        assert admin.execute("select count(*) from ops.batch where kind = 'reconcile'").fetchone() == (0,)
        assert admin.execute("select max(_batch_id) from raw.trading__lot").fetchone() == (1,)
        assert admin.execute("select dataset from ops.reconciliation").fetchall() == []
    assert set(warehouse.state.rglob("*.parquet*")) == landed
    assert found(judged("twice").compared[0]) == (1, 0, 1, 0)
    assert len(latest(warehouse)) == ROWS


def test_a_column_that_the_source_no_longer_has_is_no_difference(source: PgSource) -> None:
    source.execute("alter table bid_section drop column tra_place_code")
    one = compare("dropped")
    assert (one.outcome, found(one)) == ("same", (0, 0, 0, 0))
    assert one.notes == ["not delivered, so not compared: TRA_PLACE_CODE"]
    source.execute("alter table bid_section drop column tender_project_code")
    with pytest.raises(ContractError, match="TENDER_PROJECT_CODE"):
        compare("required")


@pytest.mark.parametrize(
    ("deleted", "known", "accepted", "is_asked"),
    [(20, 100, 0, False), (21, 100, 0, True), (100, 1000, 0, False), (101, 1000, 0, True), (1, 1, 0, False),
     (2, 2, 0, True), (2, 2, 2, False), (400, 1000, 400, False), (440, 1000, 400, False), (441, 1000, 400, True)],
)  # fmt: skip
def test_how_many_deletions_are_asked_about(deleted: int, known: int, accepted: int, is_asked: bool) -> None:
    assert is_mass_delete(deleted, known, accepted=accepted) is is_asked


def test_nothing_is_compared_before_the_first_night_nor_twice_in_one_run(
    warehouse: Warehouse, source: PgSource, tmp_path: Path
) -> None:
    source.insert("lot", lot(5001, stamp=LATE))
    first = reconcile_node("trading", NODE, "once")
    source.insert("lot", lot(5002, stamp=LATE))
    assert reconcile_node("trading", NODE, "once").compared == first.compared
    Fleet(tmp_path / "registry", [("lot", "210200", "postgres", "")]).write()
    warehouse.add_connections({"trading_210200": source.dsn})
    assert reconcile_node("trading", "210200", "unread").unread == ("lot",)


def test_types_of_the_source_make_no_difference(
    warehouse: Warehouse, pg_server: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digest at the source is of what the warehouse would have written, whatever the source's types are."""
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))
    Fleet(tmp_path / "registry").add(NODE, "postgres", "lot")
    with pg_source(pg_server, f"typed_{warehouse.dbname}", "lot", clock=CLOCK) as typed:
        warehouse.add_connections({f"trading_{NODE}": typed.dsn})
        typed.execute(
            "alter table bid_section alter create_time type date using null, alter price_unit type boolean using false,"
            " alter contract_reckon_price type varchar, alter platform_code type char(6),"
            " alter tra_place_code type integer using null, alter data_timestamp type timestamptz using null,"
            " alter currency_code type smallint using null"
        )
        prices = ["1.5", " 2", "3.", "1.25E2", "-0", "+4.500000000", "", None, "12345678901234.123456"]
        day = dt.datetime(2024, 8, 13, 10, tzinfo=dt.timezone(dt.timedelta(hours=8)))
        for number in range(len(prices) * 4):
            typed.insert("lot", lot(number, stamp=str(day), CREATE_TIME="2024-08-13", TRA_PLACE_CODE="7",
                                    CURRENCY_CODE="156", CONTRACT_RECKON_PRICE=prices[number % 9]))  # fmt: skip
        typed.insert("lot", lot(999, stamp=str(day + dt.timedelta(hours=9)), CREATE_TIME="2024-08-13",
                                TRA_PLACE_CODE="7", CURRENCY_CODE="156"))  # fmt: skip
        run_night("typed")
        run_landing_gate("typed")
        one = compare("typed")
        assert (one.source_rows, one.warehouse_rows) == (36, 36)
        assert (one.outcome, found(one)) == ("same", (0, 0, 0, 0))
        assert one.bytes_moved < 100, "no row had to be looked at to see that it is the same"
        typed.execute("update bid_section set price_unit = true where bid_section_code = %s", code(3))
        assert found(compare("changed")) == (0, 1, 0, 0)
