"""A county learns what would be rejected before it sends: the same verdict as in a night, without database or keys."""

import datetime as dt
import io
import json
from pathlib import Path

import pytest
import xlsxwriter
from tests.support.ingest import NODE, bid, csv_of, lot, write_drop

from yingshang.cli import main
from yingshang.contracts import load_contracts
from yingshang.ingest.precheck import PreCheck, UnreadableFile, check_drop


@pytest.fixture(autouse=True)
def _nothing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YINGSHANG_STATE", str(tmp_path / "empty"))
    for variable in ("YINGSHANG_WAREHOUSE_DSN", "YINGSHANG_KEYS_FILE", "YINGSHANG_CONNECTIONS_FILE"):
        monkeypatch.delenv(variable, raising=False)


def checked(file: Path, dataset: str = "trading.lot", **options: object) -> PreCheck:
    return check_drop(file, load_contracts()[dataset], NODE, **options)  # type: ignore[arg-type]


def told(found: PreCheck) -> list[tuple[int, int, list[str]]]:
    return [(one.line, one.row, [reason.rule for reason in one.reasons]) for one in found.problems]


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return int(caught.value.code or 0)


def test_a_good_file_with_its_manifest_is_clean(tmp_path: Path) -> None:
    found = checked(write_drop(tmp_path, "BID_SECTION", "20240813", csv_of([lot(1), lot(2)]), 2))
    assert (found.is_clean, found.rows, found.accepted, found.has_manifest, found.notes) == (True, 2, 2, True, ())


def test_each_bad_row_is_named_with_its_line_and_every_reason(tmp_path: Path) -> None:
    split = csv_of([lot(1), lot(2, BID_SECTION_NAME='"two\r\nlines"')])
    rest = csv_of([lot(3, CONTRACT_RECKON_PRICE="面议", PRICE_UNIT="9"), lot(4, CREATE_TIME="20240230")])
    body = split + rest.split(b"\r\n", 1)[1] + b"half,a,line\r\n" + csv_of([lot(5, node="210200")]).split(b"\r\n", 1)[1]
    found = checked(write_drop(tmp_path, "BID_SECTION", "20240813", body, 6))
    assert told(found) == [
        (5, 3, ["type:CONTRACT_RECKON_PRICE", "allowed:PRICE_UNIT"]),
        (6, 4, ["time:CREATE_TIME"]),
        (7, 5, ["malformed_row"]),
        (8, 6, ["region_not_of_node"]),
    ]
    assert (found.rows, found.accepted, found.rejected, found.refusals) == (6, 2, 4, ())
    assert found.problems[0].reasons[1].column == "PRICE_UNIT"


def test_a_workbook_is_told_by_the_rows_of_its_sheet(tmp_path: Path) -> None:
    content = io.BytesIO()
    workbook = xlsxwriter.Workbook(content)
    sheet = workbook.add_worksheet()
    sheet.write(0, 0, "标段")
    for at, row in ((2, dict.fromkeys(lot(1))), (3, lot(1)), (5, lot(2, PRICE_UNIT="9"))):
        cells = row if at == 2 else row.values()
        for column, value in enumerate(cells):
            if value is not None:
                sheet.write_string(at, column, str(value))
    workbook.close()
    file = tmp_path / "BID_SECTION_20240813.xlsx"
    file.write_bytes(content.getvalue())
    assert told(checked(file)) == [(6, 2, ["allowed:PRICE_UNIT"])]


def test_envelopes_are_told_by_the_line_on_which_they_begin(tmp_path: Path) -> None:
    def envelope(row: dict[str, object]) -> str:
        fields = "".join(f"<{name}>{value}</{name}>" for name, value in row.items() if value is not None)
        return f"<DES>\n<TITLE><DATA_TYPE>1</DATA_TYPE></TITLE>\n<CONTEXT>{fields}</CONTEXT>\n</DES>\n"

    body = "".join(map(envelope, (lot(1), lot(2, PRICE_UNIT="9"))))
    file = tmp_path / "BID_SECTION_20240813.xml"
    file.write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n<PACKAGE>\n{body}</PACKAGE>', encoding="utf-8")
    assert told(checked(file)) == [(7, 2, ["allowed:PRICE_UNIT"])]


def test_identical_rows_are_counted_and_no_reason_to_reject(tmp_path: Path) -> None:
    found = checked(write_drop(tmp_path, "BIDDER", "20240813", csv_of([bid(1), bid(1), bid(2)]), 3), "trading.bid")
    assert (found.accepted, found.duplicates, found.is_clean) == (2, 1, True)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rows": 3}, "announces 3 rows, the file has 1"),
        ({"sha256": "0" * 64}, "SHA-256"),
        ({"node_code": "210200"}, "is of node 210200"),
        ({"period": "2024"}, "not of its form"),
        ({"file": "BID_SECTION_20240812.csv"}, "names the file BID_SECTION_20240812.csv"),
    ],
)
def test_a_wrong_manifest_refuses_the_whole_file(tmp_path: Path, wrong: dict[str, object], message: str) -> None:
    found = checked(write_drop(tmp_path, "BID_SECTION", "20240813", csv_of([lot(1)]), 1, told=wrong))
    assert not found.is_clean
    assert message in " ".join(found.refusals)


def test_a_missing_required_column_and_too_many_bad_rows_refuse_the_whole_file(tmp_path: Path) -> None:
    rows = [lot(number, PRICE_UNIT="9") for number in range(1, 41)]
    for row in rows:
        del row["BID_SECTION_CODE"]
    found = checked(write_drop(tmp_path, "BID_SECTION", "20240813", csv_of(rows), 40), kept=5)
    assert "required BID_SECTION_CODE is missing" in found.refusals[0]
    assert "40 of 40 rows break the contract" in found.refusals[1]
    assert (len(found.problems), found.rejected, found.reasons["allowed:PRICE_UNIT"]) == (5, 40, 40)


def test_a_cursor_is_judged_by_the_clock_of_the_manifest(tmp_path: Path) -> None:
    rows = [lot(1, stamp="20240814020000"), lot(2, stamp="20240814040000")]
    found = checked(write_drop(tmp_path, "BID_SECTION", "20240813", csv_of(rows), 2))
    assert told(found) == [(3, 2, ["cursor_in_future"])]
    later = f"{dt.datetime.now(dt.UTC) + dt.timedelta(days=2):%Y%m%d%H%M%S}"
    alone = tmp_path / "BID_SECTION_20240814.csv"
    alone.write_bytes(csv_of([lot(1, stamp=later)]))
    assert told(checked(alone)) == [(2, 1, ["cursor_in_future"])]


def test_bytes_of_another_charset_spoil_their_own_row_until_the_charset_is_named(tmp_path: Path) -> None:
    file = tmp_path / "BID_SECTION_20240813.csv"
    file.write_bytes(csv_of([lot(1, BID_SECTION_NAME="标段名"), lot(2, BID_SECTION_NAME="a")], charset="utf-8"))
    assert [rules for _, _, rules in told(checked(file))] == [["unreadable:BID_SECTION_NAME"]]
    assert checked(file, charset="utf-8").is_clean


@pytest.mark.parametrize(
    ("name", "content"), [("a.xlsx", b"none"), ("a.xml", b"<PACKAGE><DES>"), ("a.txt", b""), ("a.csv", b"A,A\r\n")]
)
def test_a_file_that_is_not_of_its_format_cannot_be_read(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableFile):
        checked(tmp_path / name)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "BID_SECTION_20240813.csv"
    with file.open("wb") as sparse:
        sparse.truncate((4 << 30) + 1)
    with pytest.raises(UnreadableFile, match="larger than 4096 MB"):
        checked(file)


def test_the_command_says_lines_and_reasons_and_never_a_persons_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [bid(1, PM_CODE="canary-9137", PRICE_UNIT="9"), bid(2, BIDDER_NAME="canary-2288" * 60)]
    file = write_drop(tmp_path, "BIDDER", "20240813", csv_of(rows), 2)
    assert run("check-drop", str(file), "--dataset", "trading.bid", "--node", NODE) == 1
    out = capsys.readouterr()
    assert "line 2 (row 1): PRICE_UNIT" in out.out
    assert "allowed:PRICE_UNIT" in out.out
    assert "canary" not in out.out + out.err
    assert run("check-drop", str(file), "--dataset", "trading.bid", "--node", NODE, "--json") == 1
    shown = json.loads(capsys.readouterr().out)
    assert (shown["rejected"], shown["is_clean"], shown["problems"][0]["line"]) == (2, False, 2)
    assert "canary" not in json.dumps(shown)


def test_the_exit_code_tells_clean_rejected_and_unreadable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = write_drop(tmp_path, "BID_SECTION", "20240813", csv_of([lot(1)]), 1)
    assert run("check-drop", str(good), "--dataset", "trading.lot", "--node", NODE) == 0
    assert "all of it would be loaded" in capsys.readouterr().out
    assert run("check-drop", str(tmp_path / "none.csv"), "--dataset", "trading.lot", "--node", NODE) == 2
    assert run("check-drop", str(good), "--dataset", "trading.lots", "--node", NODE) == 2
    assert run("check-drop", str(good), "--dataset", "trading.lot", "--node", "999999") == 2
    assert "no node '999999'" in capsys.readouterr().err
