"""What a source changes without a word: late rows (9), hard deletes (10), keys that become others (11).

Windows cannot see it; that is shown first, as lost or doubled rows. Then the sources are compared with what is here.
"""

import pytest
from psycopg import sql
from tests.support.faults import VICTIM, PgNode, Scene
from tests.support.faults_nights import a_night
from tests.support.faults_table import ROUNDS, Cost, Tally
from tests.support.ingest import bid, lot
from tests.support.visible import live_rows

from yingshang.ingest.reconcile import NodeComparison, acceptance, reconcile_node


def reconciled(scene: Scene, *, accept_of: int | None = None) -> NodeComparison:
    """Compare the victim."""
    runs = scene.ask("select count(*) from ops.reconciliation")[0][0]
    accept = None if accept_of is None else acceptance(accept_of, reason="the node confirms", actor="test")[1]
    return reconcile_node("trading", VICTIM, f"reconcile-{runs}", accept=accept)


def repaired(scene: Scene, expected: tuple[int, int, int]) -> None:
    """Compare, publish, and see that a second look finds nothing."""
    found = reconciled(scene).compared[0]
    assert (found.lost_rows, found.changed_rows, found.deleted_rows) == expected
    scene.publish()
    scene.check()
    assert {one.differences for one in reconciled(scene).compared} == {0}


@pytest.mark.fault(9, "rows that come late")
def test_rows_inside_the_overlap_come_with_the_next_night(scene: Scene, victim: PgNode, tally: Tally) -> None:
    for _ in range(ROUNDS):
        with tally.strike("inside the overlap") as strike:
            a_night(scene, victim)
            scene.publish()
            victim.add(3, scene.stamp("103000"))
            assert scene.cost() == Cost(3, 0), "they came after the night was read"
            strike.hit()
            a_night(scene, victim)
            scene.publish()
            scene.check()
            strike.cost = scene.cost()


@pytest.mark.fault(9, "rows that come late")
def test_rows_outside_the_overlap_are_found_by_comparing(scene: Scene, victim: PgNode, tally: Tally) -> None:
    for number in range(ROUNDS):
        with tally.strike("outside the overlap") as strike:
            victim.add(3, scene.stamp("083000"))
            a_night(scene, victim)
            scene.publish(without=[VICTIM])
            assert scene.cost() == Cost(3, 0), "no window holds them"
            strike.hit()
            repaired(scene, (3, 0, 0))
            strike.cost = scene.cost()
        with tally.strike("changed under their old cursor") as strike:
            victim.source.execute(
                "update bid_section set bid_section_name = %s where bid_section_code < %s",
                f"改{number}",
                str(lot(4, node=VICTIM)["BID_SECTION_CODE"]),
            )
            a_night(scene, victim)
            scene.publish(without=[VICTIM])
            assert scene.cost() == Cost(3, 3)
            strike.hit()
            repaired(scene, (0, 3, 0))
            strike.cost = scene.cost()


@pytest.mark.fault(10, "rows deleted at the source")
def test_hard_deletes_are_closed(scene: Scene, victim: PgNode, tally: Tally) -> None:
    for _ in range(ROUNDS):
        with tally.strike("some") as strike:
            delete(victim, 4)
            a_night(scene, victim)
            scene.publish(without=[VICTIM])
            assert scene.cost().doubled == 4, "readers still see them"
            strike.hit()
            repaired(scene, (0, 0, 4))
            strike.cost = scene.cost()


@pytest.mark.fault(10, "rows deleted at the source")
def test_forty_percent_gone_at_once_change_nothing_until_a_person_says_so(
    scene: Scene, victim: PgNode, tally: Tally
) -> None:
    for _ in range(ROUNDS):
        with tally.strike("40 % at once") as strike:
            gone = int(0.4 * victim.source.count("lot"))
            delete(victim, gone)
            victim.add(gone, scene.stamp("083000"))
            a_night(scene, victim)
            before = scene.published
            (found,) = reconciled(scene).compared
            assert (found.outcome, found.deleted_rows) == ("blocked", gone)
            strike.hit()
            scene.publish(without=[VICTIM])
            assert not before - scene.seen(), "nothing was closed"
            assert scene.cost().doubled == gone
            (done,) = reconciled(scene, accept_of=found.reconciliation_id).compared
            assert (done.outcome, done.lost_rows, done.deleted_rows) == ("repaired", gone, gone)
            scene.publish()
            scene.check()
            strike.cost = scene.cost()


@pytest.mark.fault(11, "primary key changed at the source")
def test_a_key_that_becomes_another_closes_the_old_one_and_leaves_no_orphan(
    scene: Scene, victim: PgNode, tally: Tally
) -> None:
    victim.source.create("bid")
    victim.source.insert("bid", *(bid(number, node=VICTIM) for number in range(1, 21)))
    victim.source.insert("bid", bid(21, node=VICTIM, stamp=scene.stamp("120000")))
    scene.fleet.add(VICTIM, "postgres", "bid")
    for number in range(1, ROUNDS + 1):
        with tally.strike("with its children") as strike:
            a_night(scene, victim)
            scene.publish()
            old = str(lot(number, node=VICTIM)["BID_SECTION_CODE"])
            for table in ("bid_section", "bidder"):
                victim.source.execute(
                    f"update {table} set bid_section_code = %s where bid_section_code = %s",
                    f"{old[:-3]}9{old[-2:]}",
                    old,
                )
            assert scene.cost() == Cost(1, 1)
            strike.hit()
            a_night(scene, victim)
            repaired(scene, (1, 0, 1))
            assert orphans(scene) == 0
            strike.cost = scene.cost()


def delete(victim: PgNode, rows: int) -> None:
    """Let the oldest rows of the source go without a word."""
    victim.source.execute(
        "delete from bid_section where bid_section_code in (select bid_section_code from bid_section"
        " order by data_timestamp, bid_section_code limit %s)",
        rows,
    )


def orphans(scene: Scene) -> int:
    """Live bids here whose lot is not."""
    ((found,),) = scene.ask(
        sql.SQL("select count(*) from ({}) b where not exists (select from ({}) l where l.bid_section_code ="
                " b.bid_section_code)").format(live_rows("trading.bid"), live_rows("trading.lot"))
    )  # fmt: skip
    return int(found)
