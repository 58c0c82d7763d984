"""kill -9 of a reconciliation at each of its steps: nothing is half repaired, and running again converges (I1, I2)."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from psycopg import sql
from tests.support.faults import VICTIM, PgNode, Scene, half_written
from tests.support.faults_city import HttpNode, grow
from tests.support.faults_nights import a_night
from tests.support.faults_table import ROUNDS, Cost, Tally
from tests.support.faults_workers import Workers
from tests.support.ingest import bid, lot

from yingshang.ingest.reconcile import reconcile_node
from yingshang.warehouse.reconciliations import Reconciliation

GATE_AT_SOURCE = """
    create table halt (query text);
    create function passes() returns boolean language plpgsql as $$
    begin
        if exists (select from halt where current_query() ilike query) then
            perform pg_advisory_xact_lock_shared(1);
        end if;
        return true;
    end $$;
    alter table bid_section rename to lots;
    create view bid_section as select * from lots where passes();
"""
"""A table whose readers wait for whoever holds the advisory lock, if their statement is like the one in ``halt``."""
LOCK = "select pg_advisory_xact_lock(1)"

AT_SOURCE = {
    "during digests": "copy (select %sum(%group by 1)%",
    "while reading differing buckets": "copy (select k, c, d from %",
    "while reading the rows that differ": '%"bid_section_code" as "BID_SECTION_CODE"%',
}
"""Kill points: what the source is asked there."""
AT_WAREHOUSE = {
    "during load": ("lock table raw.trading__lot in share mode", "copy%trading__lot%"),
    "while the comparison is written": (
        "lock table ops.reconciliation in share row exclusive mode", "insert into ops.reconciliation %",
    ),
    "before commit": ("lock table ops.batch in share row exclusive mode", "insert into ops.batch %"),
}  # fmt: skip
"""Kill points: the lock that holds it there, and the statement that waits for it."""
AFTER = "after commit, before acknowledgement"
SILENT = Cost(lost=4, doubled=3)
"""What :func:`silence` costs until it is found."""


@pytest.fixture
def watched(scene: Scene, victim: PgNode, workers: Workers) -> PgNode:
    """The victim, also with bids, whose lots are read only as fast as a test lets them."""
    workers.preload("yingshang.ingest.reconcile_observe", "yingshang.ingest.reconcile_repair")
    victim.source.execute(GATE_AT_SOURCE)
    victim.source.create("bid")
    victim.source.insert("bid", *(bid(number, node=VICTIM) for number in range(30, 40)))
    scene.fleet.add(VICTIM, "postgres", "bid")
    return victim


@contextmanager
def held(scene: Scene, node: PgNode, point: str) -> Iterator[Callable[[], bool]]:
    """Whoever comes to the point waits there; gives whether somebody does."""
    dsn = node.source.dsn
    if point in AT_SOURCE:
        node.source.execute("insert into halt values (%s)", AT_SOURCE[point])
        with scene.held(LOCK, dsn):
            yield scene.waits("%", dsn)  # pg_stat_activity cuts great statements off
        node.source.execute("delete from halt")
    elif point == AFTER:  # the next dataset of the same run is held
        with scene.held("lock table bidder in access exclusive mode", dsn):
            yield scene.waits("copy%bidder%", dsn)
    else:
        lock, query = AT_WAREHOUSE[point]
        with scene.held(lock):
            yield scene.waits(query)


@pytest.mark.fault(2, "reconciliation killed with kill -9")
@pytest.mark.parametrize("point", [*AT_SOURCE, *AT_WAREHOUSE, AFTER])
def test_a_reconciliation_killed_at_a_point_leaves_nothing_half_and_running_again_converges(
    scene: Scene, watched: PgNode, workers: Workers, tally: Tally, point: str
) -> None:
    """Every second time it is not the same run that goes on, but another that begins anew."""
    for number in range(ROUNDS):
        with tally.strike(point) as strike:
            silence(scene, watched, number)
            run_id = f"killed {number}"
            with held(scene, watched, point) as is_there:
                worker = workers.start("reconcile", VICTIM, run_id)
                worker.wait_until(is_there)
                assert worker.kill()
                strike.hit()
            scene.orphans_end()
            assert repairs(scene, run_id) == [(1, 1)] * (point == AFTER), "the repair and its record, or neither"
            scene.check()
            found = compared(run_id if number % 2 == 0 else f"{run_id}, anew")
            assert (found.outcome, found.lost_rows, found.changed_rows, found.deleted_rows) == ("repaired", 3, 1, 2)
            strike.cost = converged(scene)


@pytest.mark.fault(2, "reconciliation killed with kill -9")
def test_a_reconciliation_of_an_api_killed_while_it_is_read_whole_converges(
    scene: Scene, city: HttpNode, workers: Workers, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(ROUNDS):
        with tally.strike("while an API is read whole") as strike:
            grow(scene, city, monkeypatch)
            city.rows[5]["DATA_TIMESTAMP"] = scene.stamp("013000")
            assert scene.ingest() == {}
            scene.publish()
            city.rows[:5] = []
            city.rows[0]["BID_SECTION_NAME"] = f"改{scene.night}"
            city.rows += [lot(100 * number + n, stamp=scene.stamp("020000")) for n in range(101, 106)]
            there, go_on = threading.Event(), threading.Event()

            def wait(page: int, _: object) -> None:
                if page > 1:
                    there.set()  # noqa: B023 - of this round
                    go_on.wait(30)  # noqa: B023

            city.pages, city.spoil = 0, wait
            worker = workers.start("reconcile", VICTIM, f"killed {number}")
            worker.wait_until(there.is_set)
            assert worker.kill()
            strike.hit()
            go_on.set()
            city.spoil = lambda page, rows: None
            scene.orphans_end()
            assert repairs(scene, f"killed {number}") == []
            scene.check()
            found = compared(f"killed {number}")
            assert (found.method, found.lost_rows, found.changed_rows, found.deleted_rows) == ("full", 5, 1, 5)
            strike.cost = converged(scene)


def silence(scene: Scene, node: PgNode, number: int) -> None:
    """A night in which the node also adds, changes and deletes rows in a way that no window sees."""
    node.add(3, scene.stamp("083000"))
    node.source.execute(
        "update lots set bid_section_name = %s where bid_section_code = %s",
        f"改{number}",
        lot(60 + number, node=VICTIM)["BID_SECTION_CODE"],
    )
    node.source.execute(
        "delete from lots"
        " where bid_section_code in (select bid_section_code from lots order by bid_section_code limit 2)"
    )
    a_night(scene, node)
    scene.publish(without=[VICTIM])
    assert scene.cost() == SILENT
    scene.published = scene.seen()  # until it is repaired


def compared(run_id: str) -> Reconciliation:
    """Compare the victim's lots, and whatever else it provides."""
    (found,) = (one for one in reconcile_node("trading", VICTIM, run_id).compared if one.dataset == "lot")
    return found


def repairs(scene: Scene, run_id: str) -> list[tuple[int, int]]:
    """Batches and comparisons of a run, if there are any."""
    ((batches, records),) = scene.ask(
        sql.SQL(
            "select (select count(*) from ops.batch where kind = 'reconcile' and run_id like {of}),"
            " (select count(*) from ops.reconciliation where run_id = {run})"
        ).format(of=f"{run_id}:%", run=run_id)
    )
    return [(batches, records)] if batches or records else []


def converged(scene: Scene) -> Cost:
    """Published, the readers see what the source has, and another look finds nothing."""
    scene.publish()
    scene.check()
    assert half_written() == []
    assert compared(f"again of {scene.night}").differences == 0
    return scene.cost()
