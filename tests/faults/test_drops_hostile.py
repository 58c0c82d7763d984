"""Drops that mean harm: refused in bounded memory, or stored as the text that they are (I6)."""

import io
import struct
import zipfile
from collections.abc import Callable

import pytest
import xlsxwriter
from tests.support.faults import NEIGHBOUR, VICTIM, Scene
from tests.support.faults_nights import County, mended, refused, tonight
from tests.support.faults_table import ROUNDS, Tally
from tests.support.faults_workers import Workers
from tests.support.ingest import csv_of, lot

from yingshang.connectors import files
from yingshang.errors import ManifestError, SourceInconsistent, YingshangError

# --- 21 ---------------------------------------------------------------------------------------------------------------


def _workbook(rows: int, *, blank: int = 0) -> bytes:
    """A workbook whose sheet is stuffed with ``blank`` megabytes that compress to nothing."""
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"constant_memory": True}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, list(lot(0)))
        for number in range(rows):
            sheet.write_row(number + 1, 0, ["" if value is None else str(value) for value in lot(number).values()])
    if not blank:
        return file.getvalue()
    stuffed = io.BytesIO()
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(stuffed, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            content = old.read(part)
            if part.filename.endswith("sheet1.xml"):
                content = content.replace(b"<sheetData>", b"<!--" + b" " * (blank << 20) + b"--><sheetData>")
            new.writestr(part.filename, content)
    return stuffed.getvalue()


def _lying(bomb: bytes) -> bytes:
    """The same archive, whose directory says that its parts are small."""
    lied = bytearray(bomb)
    with zipfile.ZipFile(io.BytesIO(bomb)) as archive:
        for part in archive.infolist():
            if part.file_size > 1 << 20:
                struct.pack_into("<I", lied, part.header_offset + 22, 1000)
                at = lied.find(part.filename.encode(), archive.start_dir) - 46
                struct.pack_into("<I", lied, at + 24, 1000)
    return bytes(lied)


ENTITIES = (
    '<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE P [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><P><DES><CONTEXT><BID_SECTION_CODE>&i;</BID_SECTION_CODE></CONTEXT></DES></P>"
)

BOMBS: dict[str, tuple[Callable[[], bytes], str, int, tuple[type[YingshangError], ...]]] = {
    "XLSX bomb": (lambda: _workbook(3, blank=100), "xlsx", 3, (ManifestError,)),
    "XLSX bomb that lies about its size": (lambda: _lying(_workbook(3, blank=100)), "xlsx", 3, (SourceInconsistent,)),
    "a line of 120 MB": (lambda: csv_of([lot(1)]) + b"x" * (120 << 20), "csv", 2, (SourceInconsistent,)),
    "a field of 120 MB of lines": (
        lambda: csv_of([lot(1)]) + b'"' + b"x\r\n" * ((120 << 20) // 3), "csv", 2, (SourceInconsistent,),
    ),
    "XML entities a billion times": (lambda: ENTITIES.encode(), "xml", 1, (SourceInconsistent, YingshangError)),
}  # fmt: skip
MOST_MB = 80


@pytest.mark.fault(21, "hostile drop")
def test_a_bomb_is_refused_in_bounded_memory(scene: Scene, county: County, workers: Workers, tally: Tally) -> None:
    for variant in list(BOMBS) * 2:
        make, suffix, rows, kinds = BOMBS[variant]
        content = make()
        with tally.strike(variant) as strike:
            tonight(scene)
            data = county.send(content, rows, suffix=suffix)
            worker = workers.start("ingest_in_memory", VICTIM, scene.run_id, str(MOST_MB))
            assert worker.wait(120) == 1, worker.said()
            said = worker.said()
            assert any(kind.__name__ in said for kind in kinds), said
            assert data.name in said or variant.startswith("XML"), said
            assert "MemoryError" not in said
            strike.hit()
            assert scene.ingest(NEIGHBOUR) == {}
            scene.publish(without=[VICTIM])
            scene.check()
            for file in county.folder.glob(f"{data.stem}*"):
                file.unlink()
            county.deliver(county.new())
            mended(scene)
            strike.cost = scene.cost()


@pytest.mark.fault(21, "hostile drop")
def test_an_oversized_file_is_refused_while_it_streams(
    scene: Scene, county: County, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(ROUNDS):
        with tally.strike("oversized file") as strike:
            tonight(scene)
            rows = county.new()
            county.send(csv_of(rows), len(rows))
            with monkeypatch.context() as patch:
                patch.setattr(files, "FILE_BYTES", 1000)
                refused(scene, ManifestError, "larger than")
            strike.hit()
            county.deliver(rows)
            mended(scene)
            strike.cost = scene.cost()


@pytest.mark.fault(21, "hostile drop")
def test_a_drop_that_points_out_of_its_folder_is_refused(scene: Scene, county: County, tally: Tally) -> None:
    for variant in ["path in the manifest", "symlink"] * ROUNDS:
        with tally.strike(variant) as strike:
            tonight(scene)
            rows = county.new()
            outside = scene.folder / "BID_SECTION_20240813.csv"
            outside.write_bytes(csv_of(rows))
            if variant == "symlink":
                data = county.send(csv_of(rows), len(rows))
                data.unlink()
                data.symlink_to(outside)
                refused(scene, ManifestError, data.name)
                data.unlink()
            else:
                county.send(csv_of(rows), len(rows), told={"file": f"../{outside.name}"})
                refused(scene, ManifestError, "file is not of its form")
            strike.hit()
            county.deliver(rows)
            mended(scene)
            strike.cost = scene.cost()


HOSTILE_TEXT = {
    "CSV formula": "=cmd|'/C calc'!A0",
    "SQL in a value": "'); drop table raw.trading__lot; --",
    "a path as a name": "../../etc/passwd",
    "markup": "<script>alert(1)</script>&amp;%s{0}",
}


@pytest.mark.fault(21, "hostile drop")
def test_hostile_text_is_stored_as_it_is(scene: Scene, county: County, tally: Tally) -> None:
    for variant in list(HOSTILE_TEXT) * ROUNDS:
        with tally.strike(variant) as strike:
            tonight(scene)
            rows = county.new(BID_SECTION_NAME=HOSTILE_TEXT[variant])
            county.deliver(rows)
            strike.hit()
            mended(scene)
            strike.cost = scene.cost()


@pytest.mark.fault(21, "hostile drop")
def test_sql_in_the_name_of_a_column_is_drift_and_nothing_else(scene: Scene, county: County, tally: Tally) -> None:
    evil = 'X"; drop table raw.trading__lot; --'
    neighbour = scene.pg(NEIGHBOUR)
    neighbour.source.execute('alter table bid_section add column "x""; drop table bid_section; --" text')
    for _ in range(ROUNDS):
        with tally.strike("SQL in the name of a column") as strike:
            tonight(scene)
            rows = county.new()
            county.truth.now(*rows)
            told = [row | {evil: "1"} for row in rows]
            county.send(csv_of(told), len(told))
            strike.hit()
            mended(scene)
            drift = scene.ask("select drift from ops.batch where run_id = %s order by node_code", scene.run_id)
            assert drift == [
                ({"extra": [evil.upper()]},),
                ({"extra": ['X"; DROP TABLE BID_SECTION; --']},),
            ]
            strike.cost = scene.cost()
