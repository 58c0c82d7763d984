"""Drops with bytes, numbers, times or columns that are not as agreed: a row costs itself only (I1)."""

import contextlib
import json
from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.fernet import Fernet
from tests.support.faults import NEIGHBOUR, VICTIM, Scene
from tests.support.faults_nights import County, mended, reasons, refused, tonight
from tests.support.faults_table import ROUNDS, Tally
from tests.support.ingest import csv_of, lot

from yingshang import secrets
from yingshang.errors import ContractError

Row = Mapping[str, Any]

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
    "event in the year 2999": ({"CREATE_TIME": "29990101000000"}, "not_after_clock:CREATE_TIME"),
    "cursor in the year 2999": ({"DATA_TIMESTAMP": "29990101000000"}, "cursor_in_future"),
    "cursor of no time": ({"DATA_TIMESTAMP": "20249999000000"}, "time:DATA_TIMESTAMP"),
}


@pytest.mark.fault(14, "numbers and times")
def test_a_value_out_of_range_is_quarantined_with_its_reason_and_moves_no_watermark(
    scene: Scene, county: County, tally: Tally
) -> None:
    """One bad row of each kind among good ones, in a drop and in a database; then both are mended."""
    neighbour = scene.pg(NEIGHBOUR)
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
