"""The search for canaries finds them in whatever form a program writes them; nothing it is told of slips through."""

import base64
import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.canaries import Needles, leaks_in_files

from simulator.canaries import FREE_TEXT, MARKERS, NAME, PHONE

NEEDLES = Needles(MARKERS)


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sheet.xml", f"<v>{NAME}</v>" * 50)


PLANTS: dict[str, Callable[[Path], object]] = {
    "a log": lambda path: path.write_text(f"[2024-08-16] refused: ({PHONE}, x)\n", encoding="utf-8"),
    "a long log": lambda path: path.write_text("x" * 400_000 + NAME + "y" * 400_000, encoding="utf-8"),
    "a log in GB18030": lambda path: path.write_bytes(f"行 {NAME}".encode("gb18030")),
    "JSON with escapes": lambda path: path.write_text(json.dumps({"event": NAME})),
    "JSON within JSON": lambda path: path.write_text(json.dumps({"message": json.dumps({"name": NAME})})),
    "an address": lambda path: path.write_text(f"/page?q={quote(NAME)}"),
    "hex of bytea": lambda path: path.write_text("\\x" + f"a{NAME}b".encode().hex()),
    "base64": lambda path: path.write_bytes(base64.b64encode(f"xyz1{FREE_TEXT}".encode())),
    "gzip": lambda path: path.write_bytes(gzip.compress(f"{NAME}".encode() * 100)),
    "a workbook": _zip,
    "Parquet, compressed": lambda path: pq.write_table(
        pa.table({"a": ["x"] * 500 + [f"er heißt {NAME}"] * 500}), path, compression="zstd"
    ),
    "Parquet, bytes": lambda path: pq.write_table(
        pa.table({"a": pa.array([b"\xff\x00" + NAME.encode()] * 9, pa.large_binary())}), path, compression="zstd"
    ),
}


@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS.keys())
def test_one_planted_canary_is_found(tmp_path: Path, plant: Callable[[Path], object]) -> None:
    (tmp_path / "below").mkdir()
    plant(tmp_path / "below" / "file")
    (word,) = {found.split(": ")[1] for found in leaks_in_files([tmp_path], NEEDLES)}
    assert word in MARKERS


def test_a_name_of_a_file_counts_and_a_clean_folder_is_clean(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": ["k1:0123"], "n": [5], "d": pa.array([None], pa.decimal128(20, 6))}), tmp_path / "p")
    (tmp_path / "log").write_text("rows 1998374650 of 2024\n")
    assert leaks_in_files([tmp_path], NEEDLES) == []
    (tmp_path / f"{PHONE}.txt").touch()
    assert leaks_in_files([tmp_path], NEEDLES) == [f"{PHONE}.txt: {PHONE}"]


@pytest.mark.parametrize("shift", range(6))
def test_base64_is_found_wherever_the_word_begins(tmp_path: Path, shift: int) -> None:
    (tmp_path / "x").write_bytes(base64.b64encode(b"z" * shift + PHONE.encode() + b"tail"))
    assert leaks_in_files([tmp_path], NEEDLES) == [f"x: {PHONE}"]
