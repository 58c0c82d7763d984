"""The warehouse is restarted or full, or a gate says no: readers keep a whole night, the next run heals."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.conftest import Warehouse, use_state
from tests.support.faults import NEIGHBOUR, VICTIM, Scene, half_written
from tests.support.faults_marts import LotBuilder, lot_publisher
from tests.support.faults_nights import busy_night
from tests.support.faults_table import ROUNDS, Tally
from tests.support.faults_workers import Workers
from tests.support.ingest import admit_all

from localpg import Cluster
from localpg.cluster import free_port
from yingshang import secrets
from yingshang.errors import AuditFailed, TransientError, YingshangError
from yingshang.ingest.landing import LandingUnavailable
from yingshang.publish.model import Build
from yingshang.warehouse.roles import init_warehouse

# --- 4 ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def own_warehouse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pg_server: Cluster
) -> Iterator[tuple[Scene, Cluster]]:
    """A scene whose warehouse has a server of its own, which can be stopped."""
    state = tmp_path / "own_state"
    use_state(monkeypatch, state)
    cluster = Cluster(tmp_path / "own_pg", port=free_port(), settings={"shared_buffers": "64MB"})
    with contextlib.closing(_Ending(cluster.start())):
        init_warehouse(cluster.superuser_dsn())
        secrets.init_keys()
        monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))  # the scene writes it
        with Scene(Warehouse(cluster.superuser_dsn(), state), tmp_path) as scene:
            scene.postgres(NEIGHBOUR, pg_server)
            scene.postgres(VICTIM, pg_server)
            scene.whole_night()
            yield scene, cluster


class _Ending:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def close(self) -> None:
        self._cluster.destroy()


def restart(cluster: Cluster) -> None:
    """Immediate mode: as a power cut, with recovery."""
    cluster.stop("immediate")
    cluster.start()
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(cluster.superuser_dsn()).close()
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.fault(4, "warehouse restarted, immediate mode")
def test_a_warehouse_restarted_during_a_load_is_transient_and_a_retry_loads_all(
    own_warehouse: tuple[Scene, Cluster], workers: Workers, tally: Tally
) -> None:
    scene, cluster = own_warehouse
    for _ in range(ROUNDS):
        with tally.strike("during load") as strike:
            busy_night(scene)
            held = scene.held("lock table ops.batch in share row exclusive mode")
            with contextlib.suppress(psycopg.OperationalError), held:
                worker = workers.start("ingest", VICTIM, scene.run_id)
                worker.wait_until(scene.waits("insert into ops.batch %"))
                restart(cluster)
                strike.hit()
            assert worker.wait() == 1
            assert "WarehouseUnavailable" in worker.said()
            assert scene.batches() == []
            scene.check()
            assert half_written() == []
            assert scene.ingest() == {}
            scene.publish()
            scene.check()
            strike.cost = scene.cost()


@pytest.mark.fault(4, "warehouse restarted, immediate mode")
@pytest.mark.parametrize("variant", ["during build", "during publish"])
def test_a_warehouse_restarted_during_build_or_publish_keeps_the_last_publication(
    own_warehouse: tuple[Scene, Cluster], tally: Tally, variant: str
) -> None:
    scene, cluster = own_warehouse
    for _ in range(ROUNDS):
        with tally.strike(variant) as strike:
            busy_night(scene)
            assert scene.ingest() == {}
            admit_all()
            struck: list[str] = []

            def strike_at(step: object) -> None:
                if isinstance(step, Build) or step == "commit":
                    restart(cluster)
                    struck.append(str(step))  # noqa: B023 - of this round

            during = strike_at if variant == "during build" else None
            publisher = lot_publisher(LotBuilder(during=during), at_step=None if during else strike_at)
            with pytest.raises((YingshangError, psycopg.OperationalError)) as raised:
                built = publisher.build(scene.night, scene.run_id)
                publisher.audit(built.build_id)
                publisher.publish(built.build_id, scene.run_id)
            assert isinstance(raised.value, TransientError | psycopg.OperationalError), raised.value
            assert struck
            strike.hit()
            scene.check()
            scene.publish()
            scene.check()
            strike.cost = scene.cost()


# --- 6 ----------------------------------------------------------------------------------------------------------------


@pytest.mark.fault(6, "publish gate fails after the build")
def test_a_publish_gate_that_fails_keeps_the_last_good_night_and_says_why(pair: Scene, tally: Tally) -> None:
    class No:
        passed = False

        def __str__(self) -> str:
            return "the sums are wrong"

    for _ in range(ROUNDS):
        with tally.strike("after the build") as strike:
            good = pair.night
            busy_night(pair)
            assert pair.ingest() == {}
            admit_all()
            publisher = lot_publisher(audit=lambda build_id: No())
            built = publisher.build(pair.night, pair.run_id)
            with pytest.raises(
                AuditFailed, match=rf"build {built.build_id} .*the sums are wrong.*Nothing was published"
            ):
                publisher.audit(built.build_id)
            with pytest.raises(YingshangError, match="is bad"):
                publisher.publish(built.build_id, pair.run_id)
            strike.hit()
            pair.check()
            with pair.warehouse.connect("bi_reader") as reader:
                assert reader.execute("select night from marts.publication").fetchone() == (good,)
            pair.publish()
            pair.check()
            strike.cost = pair.cost()


# --- 20 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.fault(20, "disk full")
def test_a_full_disk_at_landing_fails_cleanly_and_works_once_there_is_space(
    pair: Scene, tally: Tally, tmp_path: Path, workers: Workers
) -> None:
    """A small file system, where we may mount one, and a limit on the size of files."""
    node = pair.pg()
    with _small_disk(tmp_path / "small", 64) as small:
        variants = ["quota", *(["file system"] if small else [])]
        for variant in variants * ROUNDS:
            with tally.strike(f"at landing, {variant}") as strike:
                busy_night(pair)
                node.add(900, pair.stamp(), TRA_PLACE_CODE="P")
                node.source.execute(
                    "update bid_section set bid_section_name = md5(bid_section_code) || md5(data_timestamp ||"
                    " bid_section_code) where data_timestamp = %s",
                    pair.stamp(),
                )
                if variant == "quota":
                    worker = workers.start("ingest_with_small_files", VICTIM, pair.run_id, "20000")
                    assert worker.wait() == 1
                    said = worker.said()
                    assert "LandingUnavailable" in said or "DiskFull" in said, said
                else:
                    assert small is not None
                    with pytest.MonkeyPatch.context() as patch:
                        patch.setenv("YINGSHANG_LANDING_URL", small.as_uri())
                        failed = pair.ingest(VICTIM)
                    assert isinstance(failed[VICTIM], LandingUnavailable), failed
                    assert not list(small.rglob("*.parquet*"))
                strike.hit()
                assert pair.batches() == []
                assert half_written() == []
                pair.check()
                assert pair.ingest() == {}
                pair.publish()
                pair.check()
                strike.cost = pair.cost()


@pytest.mark.fault(20, "disk full")
def test_a_full_disk_at_the_warehouse_fails_cleanly_and_works_once_there_is_space(
    own_warehouse: tuple[Scene, Cluster], tally: Tally
) -> None:
    """raw.trading__lot lies on a small file system of its own, which something else fills."""
    scene, cluster = own_warehouse
    node = scene.pg()
    with _small_disk(cluster.data.parent / "small", 16 << 10) as small:
        if small is None:
            pytest.xfail("this machine lets us mount no file system: see the variant with a quota at landing")
        place = small / "tablespace"
        place.mkdir()
        if os.geteuid() == 0:
            shutil.chown(place, cluster.data.stat().st_uid)
        with scene.warehouse.admin() as admin:
            admin.execute(f"create tablespace small location '{place}'")
            admin.execute("alter table raw.trading__lot set tablespace small")
        for _ in range(ROUNDS):
            with tally.strike("at the warehouse") as strike:
                busy_night(scene)
                node.add(500, scene.stamp())
                filler = small / "filler"
                filler.write_bytes(bytes(shutil.disk_usage(small).free - (32 << 10)))
                failed = scene.ingest(VICTIM)
                assert isinstance(failed[VICTIM], TransientError), failed
                assert "No space left" in str(failed[VICTIM])
                strike.hit()
                assert scene.batches() == []
                assert half_written() == []
                scene.check()
                filler.unlink()
                assert scene.ingest() == {}
                scene.publish()
                scene.check()
                strike.cost = scene.cost()
        with scene.warehouse.admin() as admin:
            admin.execute("alter table raw.trading__lot set tablespace pg_default")
            admin.execute("drop tablespace small")


@contextlib.contextmanager
def _small_disk(folder: Path, kilobytes: int) -> Iterator[Path | None]:
    """A file system of this size; None where we may not mount."""
    folder.mkdir(exist_ok=True)
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    options = ["-t", "tmpfs", "-o", f"size={kilobytes}k,mode=777", "tmpfs", str(folder)]
    try:
        done = subprocess.run([*sudo, "mount", *options], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        done = False
    try:
        yield folder if done else None
    finally:
        if done:
            subprocess.run([*sudo, "umount", "-l", str(folder)], check=True)
