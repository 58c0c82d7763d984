"""Drops and their manifests, and what becomes of them under faults."""

import hashlib
import io
import json
from pathlib import Path

import polars as pl
import pytest
import python_calamine
from lxml import etree
from tests.unit.simulator.conftest import written

from simulator.books import Books
from simulator.fleet import fleet
from simulator.generate import commit_night, prepare_night
from simulator.outbox import csv_bytes, outbox, write_drops, xlsx_bytes, xml_bytes
from simulator.province import Province
from simulator.sheet import letters
from simulator.trading.schema import PERFORMANCE, TRADING

AWKWARD = '工期,"顺延"\n<30>天 & 𠮷'


@pytest.fixture
def awkward(tiny: Books) -> pl.DataFrame:
    rows = tiny.delivered("performance", 20240813).filter(pl.col("_bad").is_null())[:3]
    return rows.with_columns(CONTRACT_CHANGE_CONTENT=pl.lit(AWKWARD), ACTUALLY_PERIOD=pl.lit(None, dtype=pl.String))


def test_a_csv_keeps_commas_quotes_line_breaks_and_rare_characters(awkward: pl.DataFrame) -> None:
    content = csv_bytes(PERFORMANCE, awkward)
    with pytest.raises(UnicodeDecodeError):
        content.decode("gbk")
    back = pl.read_csv(content.decode("gb18030").encode(), infer_schema=False)
    assert back.equals(awkward.select(*PERFORMANCE.columns))
    assert content.count(b"\r\n") == 4


def test_an_xlsx_has_three_header_rows_and_numbers_as_numbers(awkward: pl.DataFrame) -> None:
    rows = _sheet(xlsx_bytes(PERFORMANCE, awkward))
    assert "单位：万元" in str(rows[0][0])
    assert rows[1] == list(PERFORMANCE.columns.values())
    assert rows[2] == list(PERFORMANCE.columns)
    price, change, period = (
        list(PERFORMANCE.columns).index(c) for c in ("SETTLE_PRICE", "CONTRACT_CHANGE_CONTENT", "ACTUALLY_PERIOD")
    )
    assert [row[price] for row in rows[3:]] == [float(text) for text in awkward["SETTLE_PRICE"]]
    assert [row[change] for row in rows[3:]] == [AWKWARD] * 3
    assert [row[period] for row in rows[3:]] == [""] * 3


def test_a_price_that_is_no_number_stays_a_text_in_an_xlsx(awkward: pl.DataFrame) -> None:
    rows = _sheet(xlsx_bytes(PERFORMANCE, awkward.with_columns(SETTLE_PRICE=pl.lit("面议"))))
    assert rows[3][list(PERFORMANCE.columns).index("SETTLE_PRICE")] == "面议"


def test_an_xml_tells_deletions_by_its_title_alone(awkward: pl.DataFrame) -> None:
    dead = awkward.with_columns(_deleted=pl.lit(value=True), IS_DELETE=pl.lit("T"))
    for record in etree.fromstring(xml_bytes(PERFORMANCE, dead)).findall("DES"):
        assert record.findtext("TITLE/DATA_TYPE") == "3"
        assert record.findtext("TITLE/DATA_EN") == "PERFORMANCE"
        assert record.findtext("CONTEXT/IS_DELETE") == "F"
        assert record.findtext("CONTEXT/CONTRACT_CHANGE_CONTENT") == AWKWARD
        assert record.find("CONTEXT/ACTUALLY_PERIOD").text is None


@pytest.mark.parametrize("index", [0, 25, 26, 51, 52, 701, 702])
def test_columns_are_lettered_as_in_a_sheet(index: int) -> None:
    number = 0
    for letter in letters(index):
        number = number * 26 + ord(letter) - ord("A") + 1
    assert number == index + 1


def test_every_drop_has_a_manifest_that_fits(tiny: Books) -> None:
    manifests = sorted(tiny.root.glob("sftp/trading_*/outbox/*.manifest.json"))
    assert len(manifests) > 100
    revisions = set()
    for path in manifests:
        told = json.loads(path.read_text(encoding="utf-8"))
        content = (path.parent / told["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == told["sha256"]
        assert path.name == told["file"].rsplit(".", 1)[0] + ".manifest.json"
        assert path.parent.parent.name == f"trading_{told['node_code']}"
        revisions.add(told["revision"])
    assert revisions == {1, 2}
    data = {path for path in tiny.root.glob("sftp/trading_*/outbox/*") if not path.name.endswith(".manifest.json")}
    assert len(data) == len(manifests)


def test_writing_the_drops_again_changes_nothing(tiny: Books) -> None:
    before = {path: path.read_bytes() for path in tiny.root.glob("sftp/trading_*/outbox/*")}
    for night in tiny.nights():
        write_drops(tiny, fleet("tiny"), night)
    assert {path: path.read_bytes() for path in tiny.root.glob("sftp/trading_*/outbox/*")} == before


def test_file_faults_spoil_the_drops_of_their_time_and_are_put_right(tmp_path: Path) -> None:
    written(tmp_path, profile="tiny", nights=0)
    province = Province(tmp_path)
    wanted = {"210203": "no_manifest", "210106": "truncated", "210303": "wrong_hash"}
    for node, fault in wanted.items():
        province.set_fault(node, fault)
    commit_night(tmp_path, prepare_night(tmp_path))
    name = "TENDER_PROJECT_20240814"

    def whole(node: str) -> bool:
        manifest = outbox(tmp_path, f"trading_{node}") / f"{name}.manifest.json"
        if not manifest.exists():
            return False
        told = json.loads(manifest.read_text(encoding="utf-8"))
        content = (outbox(tmp_path, f"trading_{node}") / told["file"]).read_bytes()
        return hashlib.sha256(content).hexdigest() == str(told["sha256"])

    present = [node for node in wanted if (outbox(tmp_path, f"trading_{node}") / f"{name}.csv").exists()]
    assert len(present) >= 2
    assert not any(whole(node) for node in present)
    assert whole("210115") or whole("210113"), "other counties are not concerned"
    for node in wanted:
        province.clear_faults(node)
    assert all(whole(node) for node in present)


def _sheet(content: bytes) -> list[list[object]]:
    return python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0).to_python()


def test_all_tables_can_be_written_in_all_formats(tiny: Books) -> None:
    for table in TRADING.tables:
        rows = tiny.delivered(table.dataset, 20240813)
        assert len(_sheet(xlsx_bytes(table, rows))) == rows.height + 3
        assert len(etree.fromstring(xml_bytes(table, rows)).findall("DES")) == rows.height
        assert pl.read_csv(csv_bytes(table, rows).decode("gb18030").encode(), infer_schema=False).height == rows.height
