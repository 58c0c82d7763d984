"""kill -9 of an ingest or of the landing gate at each of its points: nothing is lost, nothing is doubled (I1, I2)."""

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.support.faults import NEIGHBOUR, VICTIM, PgNode, Scene, half_written
from tests.support.faults_table import ROUNDS, Cost, Tally
from tests.support.faults_workers import Worker, Workers
from tests.support.ingest import csv_of, lot, write_drop

from localpg import Cluster
from yingshang.quality import run_landing_gate

ROWS = 6_000
MANY = f"""
    insert into lots
    select 'E{VICTIM}' || lpad(i::text, 13, '0') || '001', 'E{VICTIM}' || lpad(i::text, 13, '0'),
        repeat('标', 490), null, null, null, i * 0.01, null, '0', null, null, null, null, '20240813100000', '0'
    from generate_series(1, {ROWS}) i"""
SLOW = """
    create view bid_section as select * from lots
    where case when right(tender_project_code, 2) = '50' then pg_sleep(0.01) is not null else true end"""
"""A view that takes its time: half a second for all rows."""

Seen = Callable[[Worker], bool]
"""Whether the process is at the point, as seen from outside."""


@pytest.fixture
def great(scene: Scene, pg_server: Cluster) -> PgNode:
    """A node whose batch is so great that it is landed and copied while it is read; a first night is published."""
    scene.postgres(NEIGHBOUR, pg_server)
    node: PgNode = scene.postgres(VICTIM, pg_server, rows=0)
    node.source.execute("alter table bid_section rename to lots")
    node.source.execute(MANY)
    node.source.execute(SLOW)
    scene.whole_night()
    return node


def test_there_is_a_stream(great: PgNode, scene: Scene) -> None:
    """The kill points below are those of a streamed load."""
    from yingshang.ingest.load import STREAM_FROM_BYTES

    (size,) = great.source.execute("select sum(octet_length(l::text)) from lots l")[0]
    assert size > STREAM_FROM_BYTES


@contextmanager
def before_landing(scene: Scene, node: PgNode) -> Iterator[Seen]:
    dsn = node.source.dsn
    with scene.held("lock table lots in access exclusive mode", dsn):
        waits = scene.waits("%bid_section%", dsn)
        yield lambda worker: waits() and not _is_landing(worker)


@contextmanager
def during_landing(scene: Scene, node: PgNode) -> Iterator[Seen]:
    with scene.held("lock table raw.trading__lot in share mode"):
        waits = scene.waits("copy%")
        yield lambda worker: waits() and _is_landing(worker)


@contextmanager
def mid_copy(scene: Scene, node: PgNode) -> Iterator[Seen]:
    copies = scene.sees(
        "select from pg_stat_progress_copy where relid = 'raw.trading__lot'::regclass"
        " and datname = current_database() and tuples_processed > 0"
    )
    yield lambda worker: copies()


@contextmanager
def before_commit(scene: Scene, node: PgNode) -> Iterator[Seen]:
    with scene.held("lock table ops.batch in share row exclusive mode"):
        waits = scene.waits("insert into ops.batch %")
        yield lambda worker: waits() and not half_written()


@contextmanager
def after_commit(scene: Scene, node: PgNode) -> Iterator[Seen]:
    with scene.held("lock table ops.provision_run in share row exclusive mode"):
        waits = scene.waits("insert into ops.provision_run%")
        yield lambda worker: waits() and len(scene.batches()) == 1


POINTS = {
    "before landing": before_landing,
    "during landing": during_landing,
    "mid-COPY": mid_copy,
    "before commit": before_commit,
    "after commit, before acknowledgement": after_commit,
}


@pytest.mark.fault(2, "ingest task killed with kill -9")
@pytest.mark.parametrize("point", POINTS)
def test_an_ingest_killed_at_a_point_leaves_the_rows_of_an_undisturbed_night(
    scene: Scene, great: PgNode, workers: Workers, tally: Tally, point: str
) -> None:
    for _ in range(ROUNDS):
        with tally.strike(point) as strike:
            _new_versions(scene, great)
            with POINTS[point](scene, great) as is_there:
                worker = workers.start("ingest", VICTIM, scene.run_id)
                worker.wait_until(lambda: is_there(worker))  # noqa: B023 - used in this round only
                assert worker.kill()
                strike.hit()
            scene.orphans_end()
            scene.check()
            assert len(scene.batches()) == (1 if point.startswith("after commit") else 0)
            strike.cost = _recover(scene)


@pytest.mark.fault(2, "ingest task killed with kill -9")
def test_an_ingest_killed_at_any_moment_leaves_the_rows_of_an_undisturbed_night(
    scene: Scene, great: PgNode, workers: Workers, tally: Tally
) -> None:
    chance = random.Random(20240813)
    for _ in range(ROUNDS):
        with tally.strike("any moment") as strike:
            _new_versions(scene, great)
            while True:
                worker = workers.start("ingest", VICTIM, scene.run_id)
                time.sleep(chance.uniform(0.01, 0.9))
                if worker.kill():
                    strike.hit()
                    break
                assert worker.returncode == 0, worker.said()
                _recover(scene)
                _new_versions(scene, great)
            scene.orphans_end()
            scene.check()
            strike.cost = _recover(scene)


@pytest.mark.fault(2, "landing gate killed with kill -9")
def test_a_gate_killed_between_two_events_admits_each_batch_once(
    scene: Scene, pg_server: Cluster, workers: Workers, tally: Tally
) -> None:
    """A drop that was sent again: the earlier one is superseded, and the new one not yet admitted, when it strikes."""
    workers.preload("great_expectations", "yingshang.quality")
    scene.postgres(NEIGHBOUR, pg_server)
    folder, county = scene.drops()
    period = "20240813"
    first = [lot(n) for n in range(1, 41)]
    county.now(*first)
    write_drop(folder, "BID_SECTION", period, csv_of(first), len(first))
    scene.whole_night()
    for number in range(ROUNDS):
        with tally.strike("between two events") as strike:
            scene.open()
            changed = [lot(n, BID_SECTION_NAME=f"again {number}") for n in range(1, 41)]
            county.now(*changed)
            write_drop(folder, "BID_SECTION", period, csv_of(changed), len(changed), revision=number + 2)
            assert scene.ingest() == {}
            newest = scene.ask("select max(batch_id) from ops.batch where node_code = %s", VICTIM)[0][0]
            events = scene.ask("select count(*) from ops.batch_event")
            second = (
                "select max(seq) + 2 from ops.batch_event"  # taken by somebody who has not committed: the gate waits
            )
            with scene.held(f"insert into ops.batch_event select ({second}), {newest}, 'withdrawn', 'held', 'test'"):
                worker = workers.start("gate", scene.run_id)
                worker.wait_until(scene.waits("%ops.record_events%"))
                assert worker.kill()
                strike.hit()
            scene.orphans_end()
            assert scene.ask("select count(*) from ops.batch_event") == events, "all events or none"
            scene.check()
            report = run_landing_gate(scene.run_id)
            assert newest in report.admitted
            assert len(report.superseded) == 1
            assert run_landing_gate(scene.run_id).batches == 0
            scene.publish()
            scene.check()
            strike.cost = scene.cost()


def _new_versions(scene: Scene, node: PgNode) -> None:
    """A new night: every lot of the victim has changed, and the neighbour has new ones."""
    scene.open()
    node.source.execute(
        "update lots set data_timestamp = %s, contract_reckon_price = contract_reckon_price + 1", scene.stamp()
    )
    neighbour = scene.pg(NEIGHBOUR)
    neighbour.add(3, scene.stamp())
    assert scene.ingest(NEIGHBOUR) == {}, "another node is not harmed"


def _recover(scene: Scene) -> Cost:
    """The retry; then the night is published."""
    assert scene.ingest() == {}
    ((source, raw, _, _),) = scene.batches()
    assert source == raw == ROWS
    assert half_written() == []
    scene.publish()
    scene.check()
    return scene.cost()


def _is_landing(worker: Worker) -> bool:
    """Whether the process has a landing file open under its temporary name."""
    folder = f"/proc/{worker.pid}/fd"
    found = []
    for name in os.listdir(folder):  # noqa: PTH208 - of a process that may go
        try:
            found.append(os.readlink(f"{folder}/{name}"))  # noqa: PTH115
        except FileNotFoundError:
            continue
    return any(target.endswith(".partial") for target in found)
