"""Housekeeping takes what is past its time or belongs to nothing, and nothing else."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import Warehouse
from tests.support.ingest import NODE, PgSource, admit_all, lot, pg_node, run_night

from localpg import Cluster
from yingshang.cli import main
from yingshang.maintenance import Done, drop_past_builds, expire_quarantine, maintain, remove_orphans, vacuum_tables
from yingshang.warehouse import ledger

DAY = 86400


@pytest.fixture
def source(
    warehouse: Warehouse, pg_server: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PgSource]:
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))
    with pg_node(warehouse, pg_server, tmp_path / "registry", "lot") as found:
        yield found


@pytest.fixture
def loaded(warehouse: Warehouse, source: PgSource) -> Path:
    """A landed file of a batch, two days old. One row of the batch is in quarantine."""
    source.insert("lot", lot(1), lot(2, PRICE_UNIT="9"), lot(3, PRICE_UNIT="9"))
    run_night("run-1")
    admit_all()
    (file,) = (warehouse.state / "landing").rglob("*.parquet")
    return aged(file)


def aged(file: Path, days: float = 2) -> Path:
    os.utime(file, (time.time() - days * DAY,) * 2)
    return file


def beside(file: Path, batch_id: int, suffix: str = "", days: float = 2) -> Path:
    other = file.with_name(f"{NODE}-{batch_id}.parquet{suffix}")
    other.write_bytes(b"rows")
    return aged(other, days)


def counts(done: Done) -> tuple[int, int]:
    return (done.found, done.done)


def test_files_without_a_batch_go_and_those_of_batches_and_of_strangers_stay(
    warehouse: Warehouse, loaded: Path
) -> None:
    with warehouse.connect("ingest") as connection:
        never, young = (ledger.next_batch_id(connection) for _ in range(2))
    orphan, fresh = beside(loaded, never), beside(loaded, young, days=0.5)
    half = beside(loaded, int(loaded.stem.split("-")[1]), ".partial")
    restored = beside(loaded, 10**9)
    foreign = loaded.with_name("notes.txt")
    foreign.touch()
    aged(foreign)
    found = remove_orphans(dry_run=True)
    assert counts(found) == (2, 0)
    assert orphan.exists()
    done = remove_orphans(dry_run=False)
    assert counts(done) == (2, 2)
    assert [one.exists() for one in (orphan, half, fresh, restored, foreign, loaded)] == [False, False] + [True] * 4
    assert any("1 files have a batch number" in note for note in done.notes)
    assert any("1 files in" in note for note in done.notes)
    assert counts(remove_orphans(dry_run=False)) == (0, 0)


def test_files_of_another_ledger_are_never_taken_for_orphans(warehouse: Warehouse, loaded: Path) -> None:
    with warehouse.admin() as admin:
        admin.execute("truncate ops.batch cascade")
        admin.execute("alter sequence ops.batch_id_seq restart")
    done = remove_orphans(dry_run=False)
    assert counts(done) == (0, 0)
    assert loaded.exists()


def test_a_landing_zone_that_is_not_there_yet_is_empty(warehouse: Warehouse) -> None:
    assert counts(remove_orphans(dry_run=False)) == (0, 0)


def test_expired_rows_leave_the_quarantine_and_others_stay(warehouse: Warehouse, loaded: Path) -> None:
    with warehouse.admin() as admin:
        admin.execute(
            "update quarantine.row set expires_at = now()"
            " where row_number = (select min(row_number) from quarantine.row)"
        )
        assert counts(expire_quarantine(dry_run=True)) == (1, 0)
        assert counts(expire_quarantine(dry_run=False)) == (1, 1)
        assert admin.execute("select count(*) from quarantine.row").fetchone() == (1,)


def test_dead_rows_of_broken_loads_are_vacuumed(warehouse: Warehouse) -> None:
    with warehouse.admin() as admin:
        admin.execute("begin")
        admin.execute(
            "insert into raw.trading__lot (_batch_id, _row, _digest) select 1, n, '' from generate_series(1, 5000) n"
        )
        admin.execute("rollback")
        admin.execute("select pg_stat_force_next_flush()")
    found = vacuum_tables(dry_run=True)
    assert counts(found) == (1, 0)
    assert "raw.trading__lot: 5,000 dead rows" in found.notes[0]
    done = vacuum_tables(dry_run=False)
    assert done.done == 1
    assert done.bytes is not None
    assert done.bytes > 0
    assert counts(vacuum_tables(dry_run=True)) == (0, 0)


def test_past_nights_that_were_built_long_ago_are_dropped(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with warehouse.connect("owner", autocommit=True) as owner:
        for night, days in (("20240813", 40), ("20240814", 1)):
            owner.execute(f"create schema asof_{night}")
            owner.execute(
                "insert into ops.build (schema_name, kind, from_seq, to_seq, night, started_at)"
                " values (%s, 'as_of', 0, 0, %s, now() - make_interval(days => %s))",
                (f"asof_{night}", night, days),
            )
    assert counts(drop_past_builds(dry_run=True)) == (1, 0)
    done = drop_past_builds(dry_run=False)
    assert (counts(done), done.notes) == ((1, 1), ("asof_20240813",))
    assert counts(drop_past_builds(dry_run=True)) == (0, 0)


def test_a_step_that_fails_does_not_stop_the_others(
    warehouse: Warehouse, loaded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("yingshang.ingest.retention._files", _refused)
    assert [bool(one.error) for one in maintain(dry_run=True)] == [False, True, False, False]
    with pytest.raises(SystemExit) as caught:
        main(["maintenance", "--dry-run"])
    assert caught.value.code == 1
    out = capsys.readouterr()
    assert "landing zone refuses" in out.err
    assert "quarantined rows past their time" in out.out


def _refused() -> None:
    from yingshang.ingest.landing import LandingUnavailable

    raise LandingUnavailable("the landing zone refuses")
