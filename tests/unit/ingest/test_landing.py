"""The landing zone: a file has its name only when it is whole."""

import datetime as dt
import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from yingshang.ingest.landing import LandingFile, LandingUnavailable

SCHEMA = pa.schema([("a", pa.large_string())])
NIGHT = dt.date(2024, 8, 13)


@pytest.fixture
def zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("YINGSHANG_STATE", str(tmp_path))
    monkeypatch.delenv("YINGSHANG_LANDING_URL", raising=False)
    return tmp_path / "landing" / "trading" / "lot" / "2024-08-13"


def batch(*values: str) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(values, pa.large_string())], schema=SCHEMA)


def landing(batch_id: int = 7) -> LandingFile:
    return LandingFile("trading", "lot", NIGHT, "210100", batch_id, SCHEMA)


def test_a_file_is_landed_under_its_name_with_hash_and_rows(zone: Path) -> None:
    file = landing()
    file.write(batch("甲", "乙"))
    assert [path.name for path in zone.iterdir()] == ["210100-7.parquet.partial"]
    file.write(batch("丙"))
    landed = file.finish()
    path = zone / "210100-7.parquet"
    assert landed.uri == path.as_uri()
    assert (landed.rows, landed.size) == (3, path.stat().st_size)
    assert landed.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert pq.ParquetFile(path).read().column(0).to_pylist() == ["甲", "乙", "丙"]
    assert [one.name for one in zone.iterdir()] == [path.name]


def test_a_file_given_up_leaves_nothing(zone: Path) -> None:
    file = landing()
    file.write(batch("甲"))
    file.discard()
    assert list(zone.iterdir()) == []


def test_what_a_killed_attempt_left_is_removed_by_the_next_one_of_the_node(zone: Path) -> None:
    killed = landing()
    killed.write(batch("甲"))
    other = LandingFile("trading", "lot", NIGHT, "210200", 8, SCHEMA)
    landing(9).finish()
    assert sorted(path.name for path in zone.iterdir()) == ["210100-9.parquet", "210200-8.parquet.partial"]
    other.discard()


def test_a_store_that_gives_back_something_else_is_not_trusted(zone: Path) -> None:
    file = landing()
    file.write(batch("甲"))
    file._writer.close()
    file._file.close()
    partial = zone / "210100-7.parquet.partial"
    content = bytearray(partial.read_bytes())
    content[5] ^= 1
    partial.write_bytes(content)
    with pytest.raises(LandingUnavailable, match="read back"):
        file.finish()
    assert not (zone / "210100-7.parquet").exists()


def test_a_store_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "landing").write_text("a file, no folder")
    monkeypatch.setenv("YINGSHANG_STATE", str(tmp_path))
    with pytest.raises(LandingUnavailable, match="cannot be written"):
        landing()


def test_any_store_of_fsspec_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    monkeypatch.setenv("YINGSHANG_LANDING_URL", "memory://zone")
    file = landing()
    file.write(batch("甲"))
    landed = file.finish()
    assert landed.uri == "memory://zone/trading/lot/2024-08-13/210100-7.parquet"
    memory = fsspec.filesystem("memory")
    assert [path.rsplit("/", 1)[-1] for path in memory.find("/zone")] == ["210100-7.parquet"]
