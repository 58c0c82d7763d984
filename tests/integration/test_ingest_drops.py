"""A county's drops, from its folder into raw and the ledger."""

from pathlib import Path

import pytest
from tests.conftest import Warehouse
from tests.support.ingest import NIGHT, NODE, Fleet, admit_all, bid, csv_of, lot, run_night, write_drop

from yingshang.errors import ManifestError, RejectLimitExceeded, SourceInconsistent
from yingshang.ingest import ingest_node
from yingshang.warehouse import ledger
from yingshang.warehouse.ledger import Batch


@pytest.fixture
def folder(warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))
    Fleet(tmp_path / "registry").add(NODE, "files", "lot", "bid", form="csv-gb18030")
    folder = tmp_path / "outbox"
    folder.mkdir()
    warehouse.add_connections({f"trading_{NODE}": folder.as_uri()})
    return folder


def lots_in(warehouse: Warehouse) -> dict[str, str]:
    """Name of each lot that was loaded."""
    with warehouse.admin() as admin:
        return dict(admin.execute("select bid_section_code, bid_section_name from raw.trading__lot order by _batch_id"))


def batches(warehouse: Warehouse, run_id: str) -> list[Batch]:
    with warehouse.connect("ingest") as connection:
        return ledger.batches_of_run(connection, run_id)


def code(number: int) -> str:
    return str(lot(number)["BID_SECTION_CODE"])


def test_each_drop_is_one_batch(warehouse: Warehouse, folder: Path) -> None:
    write_drop(folder, "BID_SECTION", "20240812", csv_of([lot(1), lot(2), lot(2)]), 3)
    write_drop(folder, "BID_SECTION", "20240813", csv_of([lot(3)]), 1)
    report = run_night("run-1")
    lots, bids = report.datasets
    assert (lots.source_rows, lots.raw_rows, lots.duplicate_rows, len(lots.batch_ids)) == (4, 3, 1, 2)
    assert bids.outcome == "nothing_to_send"
    first, second = batches(warehouse, "run-1")
    assert (first.kind, first.drop_period, first.drop_revision, first.source_clock) == (
        "drop", "20240812", 1, "20240814003000",
    )  # fmt: skip
    assert second.drop_period == "20240813"
    assert set(lots_in(warehouse)) == {code(1), code(2), code(3)}


def test_a_drop_that_was_taken_in_is_not_read_again(warehouse: Warehouse, folder: Path) -> None:
    write_drop(folder, "BID_SECTION", "20240813", csv_of([lot(1)]), 1)
    run_night("run-1")
    again = ingest_node("trading", NODE, "run-1").datasets[0]
    assert (again.outcome, again.batch_ids) == ("loaded", ())
    admit_all()
    assert run_night("run-2").datasets[0].outcome == "nothing_to_send"
    assert len(lots_in(warehouse)) == 1


def test_a_drop_that_was_sent_again_supersedes_the_earlier_one(warehouse: Warehouse, folder: Path) -> None:
    write_drop(folder, "BID_SECTION", "20240813", csv_of([lot(1, BID_SECTION_NAME="old"), lot(2)]), 2)
    run_night("run-1")
    admit_all()
    write_drop(folder, "BID_SECTION", "20240813", csv_of([lot(1, BID_SECTION_NAME="new")]), 1, revision=2)
    run_night("run-2")
    admit_all()
    with warehouse.connect("ingest") as connection:
        visible = [one for one in ledger.visible_batches(connection) if one.dataset == "lot"]
    assert [(one.drop_period, one.drop_revision, one.raw_rows) for one in visible] == [("20240813", 2, 1)]


def test_a_file_without_manifest_is_named_after_all_complete_drops_were_taken_in(
    warehouse: Warehouse, folder: Path
) -> None:
    (folder / "BID_SECTION_20240811.csv").write_bytes(csv_of([lot(9)]))
    write_drop(folder, "BID_SECTION", "20240812", csv_of([lot(1)]), 1)
    write_drop(folder, "BIDDER", "20240812", csv_of([bid(1)]), 1)
    with pytest.raises(
        ManifestError,
        match=r"trading.lot of node 210100, night 2024-08-13: BID_SECTION_20240811.csv lies there without its manifest",
    ):
        run_night("run-1")
    assert set(lots_in(warehouse)) == {code(1)}
    assert {one.dataset for one in batches(warehouse, "run-1")} == {"lot", "bid"}
    write_drop(folder, "BID_SECTION", "20240811", csv_of([lot(9)]), 1)
    assert ingest_node("trading", NODE, "run-1").datasets[0].raw_rows == 1
    assert set(lots_in(warehouse)) == {code(1), code(9)}, "nothing is lost"


def test_a_file_that_is_not_that_of_its_manifest_is_not_loaded(warehouse: Warehouse, folder: Path) -> None:
    data = write_drop(folder, "BID_SECTION", "20240812", csv_of([lot(1), lot(2)]), 2)
    write_drop(folder, "BID_SECTION", "20240813", csv_of([lot(3)]), 1)
    whole = data.read_bytes()
    data.write_bytes(whole[:-9])
    with pytest.raises(ManifestError, match=r"drop 20240812 revision 1.*SHA-256 differs"):
        run_night("run-1")
    assert set(lots_in(warehouse)) == {code(3)}
    data.write_bytes(whole)
    ingest_node("trading", NODE, "run-1")
    assert set(lots_in(warehouse)) == {code(1), code(2), code(3)}


@pytest.mark.parametrize("announced", [1, 3])
def test_a_file_with_another_number_of_rows_than_announced_is_not_loaded(
    warehouse: Warehouse, folder: Path, announced: int
) -> None:
    write_drop(folder, "BID_SECTION", "20240813", csv_of([lot(1), lot(2)]), announced)
    with pytest.raises(ManifestError, match=rf"manifest announces {announced} rows, delivered were 2"):
        run_night("run-1")
    assert lots_in(warehouse) == {}
    assert batches(warehouse, "run-1") == []


def test_broken_rows_of_a_drop_are_quarantined_one_by_one(warehouse: Warehouse, folder: Path) -> None:
    good = csv_of([lot(1), lot(2, CONTRACT_RECKON_PRICE="面议"), lot(3, CREATE_TIME="20240230")])
    undecodable = ",".join("" if v is None else str(v) for v in lot(4).values()).encode("gb18030")
    undecodable = undecodable.replace("标".encode("gb18030"), b"\xff")
    write_drop(folder, "BID_SECTION", "20240813", good + undecodable + b"\r\n" + b"half,a,line\r\n", 5)
    report = run_night("run-1").datasets[0]
    assert (report.source_rows, report.raw_rows, report.quarantined_rows) == (5, 1, 4)
    with warehouse.admin() as admin:
        found = admin.execute("select row_number, reasons from quarantine.row order by 1").fetchall()
    assert found == [
        (2, ["type:CONTRACT_RECKON_PRICE"]),
        (3, ["time:CREATE_TIME"]),
        (4, ["unreadable:BID_SECTION_NAME"]),
        (5, ["malformed_row"]),
    ]


def test_a_drop_past_its_reject_limit_does_not_stop_the_next_drop(warehouse: Warehouse, folder: Path) -> None:
    write_drop(folder, "BID_SECTION", "20240812", csv_of([lot(n, PRICE_UNIT="9") for n in range(1, 31)]), 30)
    write_drop(folder, "BID_SECTION", "20240813", csv_of([lot(50)]), 1)
    with pytest.raises(RejectLimitExceeded, match=r"drop 20240812 revision 1.*allowed:PRICE_UNIT"):
        run_night("run-1")
    assert set(lots_in(warehouse)) == {code(50)}


def test_what_is_not_of_its_format_is_named(warehouse: Warehouse, folder: Path) -> None:
    write_drop(folder, "BID_SECTION", "20240813", b"no workbook", 1, suffix="xlsx")
    with pytest.raises(SourceInconsistent, match=r"night 2024-08-13.*BID_SECTION_20240813.xlsx.*not an XLSX workbook"):
        run_night("run-1")


def test_a_deletion_in_an_xml_envelope_becomes_a_tombstone(warehouse: Warehouse, folder: Path) -> None:
    rows = [lot(1), lot(2)]
    body = "".join(
        f"<DES><TITLE><DATA_TYPE>{kind}</DATA_TYPE></TITLE><CONTEXT>"
        + "".join(f"<{name}>{value}</{name}>" for name, value in row.items() if value is not None)
        + "</CONTEXT></DES>"
        for kind, row in zip((1, 3), rows, strict=True)
    )
    content = f'<?xml version="1.0" encoding="UTF-8"?><PACKAGE>{body}</PACKAGE>'.encode()
    write_drop(folder, "BID_SECTION", "20240813", content, 2, suffix="xml")
    assert run_night("run-1").datasets[0].raw_rows == 2
    with warehouse.admin() as admin:
        found = admin.execute("select bid_section_code, is_delete from raw.trading__lot order by 1").fetchall()
    assert found == [(code(1), "0"), (code(2), "1")]
    assert batches(warehouse, "run-1")[0].profile["tombstones"] == 1
    assert batches(warehouse, "run-1")[0].night == NIGHT
