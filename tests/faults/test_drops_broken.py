"""Drops that are broken, hostile, late or sent again: refused and named, or taken in as they are (I1, I2, I6)."""

import contextlib
import io
import json
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from cryptography.fernet import Fernet
from tests.support.faults import NEIGHBOUR, VICTIM, PgNode, Rows, Scene
from tests.support.faults_table import ROUNDS, Tally
from tests.support.faults_workers import Workers
from tests.support.ingest import csv_of, lot, write_drop

from localpg import Cluster
from yingshang import secrets
from yingshang.connectors import files
from yingshang.errors import ContractError, ManifestError, SourceInconsistent, YingshangError

TABLE = "BID_SECTION"
Row = Mapping[str, Any]


class County:
    """A county that sends files, and what is true of it."""

    def __init__(self, scene: Scene, folder: Path, truth: Rows) -> None:
        self.scene, self.folder, self.truth = scene, folder, truth
        self._next = 1

    def new(self, rows: int = 12, **other: Any) -> list[dict[str, Any]]:
        """New lots of tonight."""
        first, self._next = self._next, self._next + rows
        return [lot(n, stamp=self.scene.stamp(), **other) for n in range(first, first + rows)]

    def send(
        self, content: bytes, rows: int, *, told: Mapping[str, Any] | None = None, suffix: str = "csv",
        revision: int = 1, period: str = "",
    ) -> Path:  # fmt: skip
        """A drop of tonight, unless another period is said."""
        told = {"created": self.scene.clock(), **(told or {})}
        period = period or f"{self.scene.night:%Y%m%d}"
        return write_drop(self.folder, TABLE, period, content, rows, told=told, suffix=suffix, revision=revision)

    def deliver(self, rows: list[dict[str, Any]], revision: int = 1) -> None:
        """What is right, and true from now on."""
        self.truth.now(*rows)
        self.send(csv_of(rows), len(rows), revision=revision)


@pytest.fixture
def county(scene: Scene, pg_server: Cluster) -> County:
    scene.postgres(NEIGHBOUR, pg_server)
    made = County(scene, *scene.drops())
    scene.open()
    made.deliver(made.new(30))
    assert scene.ingest() == {}
    scene.publish()
    scene.check()
    return made


def tonight(scene: Scene) -> None:
    """The next night; the neighbour has new lots."""
    scene.open()
    neighbour = scene.sources[NEIGHBOUR]
    assert isinstance(neighbour, PgNode)
    neighbour.add(3, scene.stamp())


def refused(scene: Scene, kind: type[YingshangError], *named: str) -> None:
    """The county's drop is refused in words that name it; nothing of it is seen, and the neighbour's rows are."""
    failed = scene.ingest()
    assert list(failed) == [VICTIM], "another node is not harmed"
    assert isinstance(failed[VICTIM], kind), failed
    for word in (VICTIM, "trading.lot", *named):
        assert word in str(failed[VICTIM]), failed[VICTIM]
    scene.publish(without=[VICTIM])
    assert scene.missing() == [VICTIM]
    scene.check()
    assert scene.batches() == []


def mended(scene: Scene, *, loaded: bool = True) -> None:
    """The same run again: now it comes, and the night is published anew."""
    assert scene.ingest() == {}
    assert bool(scene.batches()) is loaded
    scene.publish()
    scene.check()


def reasons(scene: Scene) -> list[list[str]]:
    return [
        row[0]
        for row in scene.ask(
            "select reasons from quarantine.row where run_id = %s and batch_id is not null order by row_number",
            scene.run_id,
        )
    ]


# --- 16 ---------------------------------------------------------------------------------------------------------------


def _truncated(county: County, content: bytes, rows: int) -> None:
    data = county.send(content, rows)
    data.write_bytes(content[: len(content) // 2])


def _no_manifest(county: County, content: bytes, rows: int) -> None:
    data = county.send(content, rows)
    data.with_name(f"{data.stem}.manifest.json").unlink()


def _half_a_manifest(county: County, content: bytes, rows: int) -> None:
    data = county.send(content, rows)
    manifest = data.with_name(f"{data.stem}.manifest.json")
    manifest.write_text(manifest.read_text()[:60])


def _no_file(county: County, content: bytes, rows: int) -> None:
    county.send(content, rows).unlink()


def _still_being_written(county: County, content: bytes, rows: int) -> None:
    """Against the rules the manifest is there first; the file grows by whole lines."""
    data = county.send(content, rows)
    data.write_bytes(content[: content.index(b"\r\n", len(content) // 2) + 2])


BROKEN_FILES: dict[str, tuple[Callable[[County, bytes, int], Any], str]] = {
    "file truncated": (_truncated, "SHA-256 differs"),
    "manifest missing": (_no_manifest, "without its manifest"),
    "manifest broken off": (_half_a_manifest, "is no manifest"),
    "file missing": (_no_file, "is not"),
    "wrong hash": (lambda c, content, n: c.send(content, n, told={"sha256": "0" * 64}), "SHA-256 differs"),
    "wrong count, more": (lambda c, content, n: c.send(content, n + 1), "announces 13 rows, delivered were 12"),
    "wrong count, fewer": (lambda c, content, n: c.send(content, n - 1), "announces 11 rows, delivered were 12"),
    "still being written": (_still_being_written, "SHA-256 differs"),
}


@pytest.mark.fault(16, "drop incomplete")
def test_an_incomplete_drop_is_not_loaded_but_named_and_taken_in_once_it_is_complete(
    scene: Scene, county: County, tally: Tally
) -> None:
    for variant in list(BROKEN_FILES) * ROUNDS:
        spoil, message = BROKEN_FILES[variant]
        with tally.strike(variant) as strike:
            tonight(scene)
            rows = county.new()
            spoil(county, csv_of(rows), len(rows))
            refused(scene, ManifestError, message, f"{scene.night}")
            strike.hit()
            county.deliver(rows)
            mended(scene)
            strike.cost = scene.cost()


# --- 17 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.fault(17, "drop sent again")
def test_a_drop_sent_again_unchanged_is_not_loaded_a_second_time(scene: Scene, county: County, tally: Tally) -> None:
    for _ in range(ROUNDS):
        with tally.strike("unchanged") as strike:
            tonight(scene)
            rows, period = county.new(), f"{scene.night:%Y%m%d}"
            county.deliver(rows)
            mended(scene)
            tonight(scene)
            county.send(csv_of(rows), len(rows), revision=2, period=period)
            strike.hit()
            mended(scene, loaded=False)
            strike.cost = scene.cost()


@pytest.mark.fault(17, "drop sent again")
def test_a_drop_sent_again_with_corrections_supersedes_the_earlier_one(
    scene: Scene, county: County, tally: Tally
) -> None:
    for _ in range(ROUNDS):
        with tally.strike("with corrections") as strike:
            tonight(scene)
            rows, period = county.new(), f"{scene.night:%Y%m%d}"
            county.deliver(rows)
            mended(scene)
            tonight(scene)
            withdrawn, kept = rows[:2], [row | {"BID_SECTION_NAME": "更正"} for row in rows[2:]]
            county.truth.gone(*withdrawn)
            county.truth.now(*kept)
            county.send(csv_of(kept), len(kept), revision=2, period=period)
            strike.hit()
            mended(scene)
            events = scene.ask("select event from ops.batch_event order by seq desc limit 3")
            assert ("superseded",) in events
            profile = scene.ask("select profile from ops.batch where run_id = %s and node_code = %s",
                                scene.run_id, VICTIM)[0][0]  # fmt: skip
            assert profile["rows"] == 10
            strike.cost = scene.cost()


@pytest.mark.fault(17, "drop sent again")
def test_a_drop_of_an_old_night_lands_in_its_night_and_newer_rows_stay(
    scene: Scene, county: County, tally: Tally
) -> None:
    for _ in range(ROUNDS):
        with tally.strike("for an old night") as strike:
            tonight(scene)
            period, late = f"{scene.night:%Y%m%d}", county.new()
            assert scene.ingest() == {}
            scene.publish(without=[VICTIM])
            tonight(scene)
            county.deliver([row | {"DATA_TIMESTAMP": scene.stamp()} for row in late[:4]])
            county.truth.now(*late[4:])
            county.send(csv_of(late), len(late), period=period)
            strike.hit()
            mended(scene)
            found = scene.ask("select drop_period from ops.batch where run_id = %s and node_code = %s order by 1",
                              scene.run_id, VICTIM)  # fmt: skip
            assert found == [(period,), (f"{scene.night:%Y%m%d}",)]
            strike.cost = scene.cost()


# --- 13, 14 -----------------------------------------------------------------------------------------------------------


SURROGATE = "lone surrogate"


def _line(row: Row, *, charset: str = "gb18030", **bytes_of: bytes) -> bytes:
    """A CSV line whose fields can be any bytes."""
    fields = [bytes_of.get(name, str("" if value is None else value).encode(charset)) for name, value in row.items()]
    return b",".join(fields) + b"\r\n"


BAD_BYTES: dict[str, tuple[dict[str, bytes], str]] = {
    "bytes not of the charset": ({"BID_SECTION_NAME": b"\xd5\xd0\xff\xb1\xea"}, "unreadable:BID_SECTION_NAME"),
    "NUL": ({"BID_SECTION_NAME": b"a\x00b"}, "unreadable:BID_SECTION_NAME"),
    SURROGATE: ({"BID_SECTION_NAME": "\ud800".encode("utf-8", "surrogatepass")}, "unreadable:BID_SECTION_NAME"),
    "half a character": ({"BID_SECTION_NAME": "标".encode("gb18030")[:1]}, "unreadable:BID_SECTION_NAME"),
    "full-width digits": ({"CONTRACT_RECKON_PRICE": "１２３．５".encode("gb18030")}, "type:CONTRACT_RECKON_PRICE"),
    "newline without quotes": ({"BID_SECTION_NAME": b"first\r\nsecond"}, "malformed_row"),
}


@pytest.mark.fault(13, "bytes and characters")
def test_a_row_with_bad_bytes_is_quarantined_with_its_bytes_and_its_neighbours_load(
    scene: Scene, county: County, tally: Tally
) -> None:
    """Each bad row stands between good ones; what is wrong in UTF-8 comes in a drop of its own."""
    for number in range(ROUNDS):
        with contextlib.ExitStack() as stack:
            strikes = {variant: stack.enter_context(tally.strike(variant)) for variant in BAD_BYTES}
            tonight(scene)
            in_gb18030, in_utf8 = county.new(2 * len(BAD_BYTES) - 2), county.new(2)
            bad = dict(zip((name for name in BAD_BYTES if name != SURROGATE), in_gb18030[::2], strict=True))
            lines = [csv_of(in_gb18030[:1]).split(b"\r\n")[0] + b"\r\n"]
            for (variant, row), good in zip(bad.items(), in_gb18030[1::2], strict=True):
                lines += [_line(row, **BAD_BYTES[variant][0]), _line(good)]
            county.send(b"".join(lines), len(in_gb18030) + 1)  # a newline without quotes makes two rows of one
            line = _line(in_utf8[0], charset="utf-8", **BAD_BYTES[SURROGATE][0])
            county.send(
                csv_of(in_utf8[1:], "utf-8") + line, 2, told={"charset": "UTF-8"}, period=f"202401{number + 1:02d}"
            )
            county.truth.now(*in_gb18030[1::2], *in_utf8[1:])
            mended(scene)
            found = reasons(scene)
            assert len(found) == len(BAD_BYTES) + 1
            kept = _quarantined(scene)
            for variant, (fields, reason) in BAD_BYTES.items():
                assert any(reason in one for one in found), (variant, found)
                for name, value in fields.items():
                    codec = "utf-8" if variant == SURROGATE else "gb18030"
                    is_kept = any(name in row and _bytes_of(row[name], codec) == value for row in kept)
                    assert is_kept or reason == "malformed_row", variant
                strikes[variant].hit()
            county.truth.now(*in_gb18030, *in_utf8)  # the county sends both again, as they should be
            county.send(csv_of(in_gb18030), len(in_gb18030), revision=2)
            county.send(csv_of(in_utf8), 2, revision=2, period=f"202401{number + 1:02d}")
            mended(scene)
            cost = scene.cost()
            for strike in strikes.values():
                strike.cost = cost


def _quarantined(scene: Scene) -> list[dict[str, Any]]:
    """Tonight's quarantined rows, decrypted."""
    fernet = Fernet(secrets.keys().quarantine.active_key)
    rows = scene.ask("select payload from quarantine.row where run_id = %s", scene.run_id)
    return [json.loads(fernet.decrypt(payload)) for (payload,) in rows]


def _bytes_of(text: str, codec: str) -> bytes:
    """A quarantined text as bytes again: U+FFFD is followed by the two hex digits of a byte that could not be read."""
    first, *parts = (text or "").split("\ufffd")
    return first.encode(codec) + b"".join(bytes.fromhex(part[:2]) + part[2:].encode(codec) for part in parts)


GOOD_BYTES: dict[str, tuple[str, str, str]] = {
    "byte order mark": ("普通", "utf-8-sig", "UTF-8"),
    "newlines and quotes in a field": ('"一\r\n二\n""三"""', "gb18030", "GB18030"),
    "commas in a field": ('"一,二,=1+1"', "gb18030", "GB18030"),
    "characters beyond the BMP": ("𠮷野家", "gb18030", "GB18030"),
}


@pytest.mark.fault(13, "bytes and characters")
@pytest.mark.parametrize("variant", GOOD_BYTES)
def test_what_is_unusual_but_right_is_loaded_as_it_is(scene: Scene, county: County, tally: Tally, variant: str) -> None:
    written, codec, charset = GOOD_BYTES[variant]
    meant = written[1:-1].replace('""', '"') if written.startswith('"') else written
    for _ in range(ROUNDS):
        with tally.strike(variant) as strike:
            tonight(scene)
            rows = county.new()
            content = csv_of([row | {"BID_SECTION_NAME": written} for row in rows], codec)
            county.send(content, len(rows), told={"charset": charset})
            county.truth.now(*(row | {"BID_SECTION_NAME": meant} for row in rows))
            strike.hit()
            mended(scene)
            assert reasons(scene) == []
            strike.cost = scene.cost()


OUT_OF_RANGE: dict[str, tuple[dict[str, str], str]] = {
    "amount too great": ({"CONTRACT_RECKON_PRICE": "123456789012345678"}, "type:CONTRACT_RECKON_PRICE"),
    "amount negative": ({"CONTRACT_RECKON_PRICE": "-1"}, "minimum:CONTRACT_RECKON_PRICE"),
    "NaN": ({"CONTRACT_RECKON_PRICE": "NaN"}, "type:CONTRACT_RECKON_PRICE"),
    "infinity": ({"CONTRACT_RECKON_PRICE": "1E999"}, "type:CONTRACT_RECKON_PRICE"),
    "seven decimal places": ({"CONTRACT_RECKON_PRICE": "1.0000001"}, "type:CONTRACT_RECKON_PRICE"),
    "2月30日": ({"CREATE_TIME": "20240230"}, "time:CREATE_TIME"),
    "29 February of no leap year": ({"CREATE_TIME": "20230229"}, "time:CREATE_TIME"),
    "24 o'clock": ({"CREATE_TIME": "20240813240000"}, "time:CREATE_TIME"),
    "cursor in the year 2999": ({"DATA_TIMESTAMP": "29990101000000"}, "cursor_in_future"),
    "cursor of no time": ({"DATA_TIMESTAMP": "20249999000000"}, "time:DATA_TIMESTAMP"),
}


@pytest.mark.fault(14, "numbers and times")
def test_a_value_out_of_range_is_quarantined_with_its_reason_and_moves_no_watermark(
    scene: Scene, county: County, tally: Tally
) -> None:
    """One bad row of each kind among good ones, in a drop and in a database; then both are mended."""
    neighbour = scene.sources[NEIGHBOUR]
    assert isinstance(neighbour, PgNode)
    for _ in range(ROUNDS):
        with contextlib.ExitStack() as stack:
            strikes = {one: stack.enter_context(tally.strike(one)) for one in OUT_OF_RANGE}
            tonight(scene)
            good, bad = county.new(), county.new(len(OUT_OF_RANGE))
            spoilt = [row | fields for row, (fields, _) in zip(bad, OUT_OF_RANGE.values(), strict=True)]
            county.send(csv_of([*good[:6], *spoilt, *good[6:]]), len(good) + len(bad))
            county.truth.now(*good)
            numbers = [next(neighbour.numbers) for _ in OUT_OF_RANGE]
            at_node = [lot(n, node=NEIGHBOUR, stamp=scene.stamp()) for n in numbers]
            for row, (fields, _) in zip(at_node, OUT_OF_RANGE.values(), strict=True):
                written = {name: value.replace("1E999", "Infinity") for name, value in fields.items()}
                neighbour.source.insert("lot", row | written)
            assert scene.ingest() == {}
            found = reasons(scene)
            assert len(found) == 2 * len(OUT_OF_RANGE)
            for one, (_, reason) in OUT_OF_RANGE.items():
                assert sum(reason in of_row for of_row in found) >= 2, (one, found)
                strikes[one].hit()
            codes = [row["BID_SECTION_CODE"] for row in at_node]
            neighbour.source.execute("delete from bid_section where bid_section_code = any(%s)", codes)
            scene.publish()
            scene.check()
            tonight(scene)
            county.deliver([row | {"DATA_TIMESTAMP": scene.stamp()} for row in bad])
            neighbour.source.insert("lot", *(row | {"DATA_TIMESTAMP": scene.stamp("090000")} for row in at_node))
            mended(scene)
            cost = scene.cost()
            for strike in strikes.values():
                strike.cost = cost


@pytest.mark.fault(14, "numbers and times")
def test_scientific_notation_is_the_number_that_it_means(scene: Scene, county: County, tally: Tally) -> None:
    for _ in range(ROUNDS):
        with tally.strike("scientific notation") as strike:
            tonight(scene)
            rows = county.new(CONTRACT_RECKON_PRICE="1.25E7")
            county.send(csv_of(rows), len(rows))
            county.truth.now(*(row | {"CONTRACT_RECKON_PRICE": "12500000"} for row in rows))
            strike.hit()
            mended(scene)
            strike.cost = scene.cost()


# --- 12 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.fault(12, "columns of a drop")
def test_columns_of_a_drop_that_change_load_with_a_note_unless_a_required_one_is_gone(
    scene: Scene, county: County, tally: Tally
) -> None:
    variants = ["added", "reordered", "optional one dropped", "required one dropped", "renamed"]
    for variant in variants * ROUNDS:
        with tally.strike(variant) as strike:
            tonight(scene)
            rows = county.new()
            told = [_changed(row, variant) for row in rows]
            county.send(csv_of(told), len(told))
            strike.hit()
            if variant in ("required one dropped", "renamed"):
                named = ("required BID_SECTION_CODE",) if variant == "renamed" else ("required IS_DELETE",)
                refused(scene, ContractError, *named)
                county.deliver(rows)
                mended(scene)
            else:
                county.truth.now(*rows)
                mended(scene)
                drift = scene.ask("select drift from ops.batch where run_id = %s and node_code = %s",
                                  scene.run_id, VICTIM)[0][0]  # fmt: skip
                assert (
                    drift
                    == {
                        "added": {"extra": ["NOTE"]},
                        "reordered": {},
                        "optional one dropped": {"missing": ["CURRENCY_CODE"]},
                    }[variant]
                )
            strike.cost = scene.cost()


def _changed(row: dict[str, Any], variant: str) -> dict[str, Any]:
    match variant:
        case "added":
            return row | {"NOTE": "x"}
        case "reordered":
            return dict(reversed(row.items()))
        case "renamed":
            return {("SECTION_CODE" if name == "BID_SECTION_CODE" else name): value for name, value in row.items()}
    lost = "CURRENCY_CODE" if variant.startswith("optional") else "IS_DELETE"
    return {name: value for name, value in row.items() if name != lost}


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
    neighbour = scene.sources[NEIGHBOUR]
    assert isinstance(neighbour, PgNode)
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
