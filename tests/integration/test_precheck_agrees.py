"""What a county is told before it sends is what a night does with the file."""

from pathlib import Path

import pytest
from tests.conftest import Warehouse
from tests.support.ingest import NODE, Fleet, csv_of, event, run_night, write_drop

from yingshang.contracts import load_contracts
from yingshang.errors import RejectLimitExceeded
from yingshang.ingest.precheck import PreCheck, check_drop

ROWS = [
    event(1),
    event(2, EVENT_TYPE="vanished"),
    event(2, EVENT_TYPE="closed", EVENT_TIME="20240231"),
    event(1),
    event(1, HANDLER_NAME="李四"),
    event(4, node="210200"),
    event(5, stamp="20250101000000"),
    event(6, EVENT_ID=None, ISSUE_CODE="x" * 80),
    event(7, IS_DELETE="?"),
]


@pytest.fixture
def folder(warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))
    Fleet(tmp_path / "registry").add(NODE, "files", "supervision.issue_event", form="csv-gb18030")
    warehouse.add_connections({f"supervision_{NODE}": (tmp_path / "outbox").as_uri()})
    return tmp_path / "outbox"


def told(file: Path) -> PreCheck:
    return check_drop(file, load_contracts()["supervision.issue_event"], NODE)


def test_rows_and_reasons_told_beforehand_are_those_of_the_quarantine(warehouse: Warehouse, folder: Path) -> None:
    body = (
        csv_of(ROWS)
        + b"half,a,line\r\n"
        + csv_of([event(8, HANDLER_NAME="x")]).split(b"\r\n")[1].replace(b"x", b"\xff")
    )
    before = told(write_drop(folder, "ISSUE_EVENT", "20240813", body, 11))
    (report,) = run_night("run-1", system="supervision").datasets
    assert (before.rows, before.accepted, before.rejected, before.duplicates) == (
        report.source_rows, report.raw_rows, report.quarantined_rows, report.duplicate_rows,
    )  # fmt: skip
    with warehouse.admin() as admin:
        found = admin.execute("select row_number, reasons from quarantine.row order by 1").fetchall()
    assert [(one.row, [reason.rule for reason in one.reasons]) for one in before.problems] == found
    assert len(found) == 8
    assert before.refusals == ()


def test_a_file_past_its_reject_limit_is_refused_by_both(warehouse: Warehouse, folder: Path) -> None:
    rows = [event(number, EVENT_TYPE="vanished") for number in range(1, 60)]
    before = told(write_drop(folder, "ISSUE_EVENT", "20240813", csv_of(rows), len(rows)))
    assert "59 of 59 rows break the contract" in before.refusals[0]
    with pytest.raises(RejectLimitExceeded):
        run_night("run-1", system="supervision")
