"""Batches with bad rows, with half of their rows, or with a key twice: a batch stands or falls whole."""

import pytest
from tests.support.faults import NEIGHBOUR, VICTIM, Scene
from tests.support.faults_nights import busy_night
from tests.support.faults_table import ROUNDS, Tally
from tests.support.ingest import csv_of, lot, write_drop

from localpg import Cluster
from yingshang.alerts import outlook
from yingshang.errors import RegistryError, RejectLimitExceeded
from yingshang.ingest import open_night
from yingshang.quality import run_landing_gate

# --- 15 ---------------------------------------------------------------------------------------------------------------

MILLION = 1_000_000 if ROUNDS > 2 else 100_000


@pytest.mark.fault(15, "bad rows")
def test_one_poison_row_among_a_million_costs_itself_only(scene: Scene, pg_server: Cluster, tally: Tally) -> None:
    """A tenth of that in short runs."""
    scene.postgres(NEIGHBOUR, pg_server)
    node = scene.postgres(VICTIM, pg_server)
    scene.whole_night()
    variant = f"one among {MILLION:,}"
    for number in range(2):
        with tally.strike(variant) as strike:
            scene.open()
            node.source.execute("truncate bid_section")
            node.source.execute(
                f"""insert into bid_section (bid_section_code, tender_project_code, data_timestamp, is_delete,
                    price_unit, contract_reckon_price)
                select 'E{VICTIM}' || lpad(i::text, 13, '0') || '001', 'E{VICTIM}' || lpad(i::text, 13, '0'), %s, '0',
                    case when i = {MILLION // 2} then '9' else '0' end, i + %s
                from generate_series(1, {MILLION}) i""",
                scene.stamp(),
                number,
            )
            assert scene.ingest() == {}
            assert scene.batches() == [(MILLION, MILLION - 1, 1, 0)]
            strike.hit()
            scene.open()
            node.source.execute("update bid_section set price_unit = '0', data_timestamp = %s where price_unit = '9'",
                                scene.stamp())  # fmt: skip
            assert scene.ingest() == {}
            scene.publish()
            scene.check()
            strike.cost = scene.cost()


@pytest.mark.fault(15, "bad rows")
def test_thirty_percent_bad_rows_fail_the_batch_whole(pair: Scene, tally: Tally) -> None:
    node = pair.pg()
    for _ in range(ROUNDS):
        with tally.strike("30 %") as strike:
            busy_night(pair)
            node.add(70, pair.stamp())
            node.add(40, pair.stamp(), PRICE_UNIT="9")
            failed = pair.ingest()
            assert list(failed) == [VICTIM]
            assert isinstance(failed[VICTIM], RejectLimitExceeded)
            strike.hit()
            assert pair.batches() == []
            pair.publish(without=[VICTIM])
            pair.check()
            node.source.execute("update bid_section set price_unit = '0' where price_unit = '9'")
            assert pair.ingest() == {}
            pair.publish()
            pair.check()
            strike.cost = pair.cost()


# --- 19 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.fault(19, "half a dataset vanishes")
def test_half_of_a_drop_that_is_sent_again_is_stopped_by_the_gate(
    scene: Scene, pg_server: Cluster, tally: Tally
) -> None:
    scene.postgres(NEIGHBOUR, pg_server)
    folder, county = scene.drops()
    rows = [lot(n) for n in range(1, 61)]
    county.now(*rows)
    write_drop(folder, "BID_SECTION", "20240813", csv_of(rows), len(rows))
    scene.whole_night()
    for number in range(ROUNDS):
        with tally.strike("drop sent again with half of its rows") as strike:
            busy_night(scene)
            write_drop(folder, "BID_SECTION", "20240813", csv_of(rows[:30]), 30, revision=2 + 2 * number)
            assert scene.ingest() == {}
            report = run_landing_gate(scene.run_id)
            assert [refusal.node_code for refusal in report.refused] == [VICTIM]
            assert "resend_ratio is 0.5" in report.refused[0].messages[0]
            strike.hit()
            scene.publish_admitted()
            scene.check()
            whole = [row | {"BID_SECTION_NAME": f"whole {number}"} for row in rows]
            write_drop(folder, "BID_SECTION", "20240813", csv_of(whole), 60, revision=3 + 2 * number)
            county.now(*whole)
            assert scene.ingest() == {}
            assert run_landing_gate(scene.run_id).admitted
            scene.publish_admitted()
            scene.check()
            strike.cost = scene.cost()


@pytest.mark.fault(19, "half a dataset vanishes")
def test_half_of_a_night_that_is_read_again_is_stopped_by_the_gate(
    scene: Scene, pg_server: Cluster, tally: Tally
) -> None:
    """All answers are right, but half of the rows are no longer there: what was published stays."""
    scene.postgres(NEIGHBOUR, pg_server)
    node = scene.postgres(VICTIM, pg_server, rows=60)
    scene.whole_night()
    for number in range(ROUNDS):
        with tally.strike("full re-read with half of its rows") as strike:
            scene.run_id = f"again {number}"
            open_night(scene.night, scene.run_id)
            node.source.execute(
                "create table away as select * from bid_section where right(tender_project_code, 1) < '5'"
            )
            node.source.execute("delete from bid_section where right(tender_project_code, 1) < '5'")
            assert scene.ingest() == {}
            report = run_landing_gate(scene.run_id)
            assert [refusal.node_code for refusal in report.refused] == [VICTIM]
            assert "full_reread_ratio" in report.refused[0].messages[0]
            assert {one.kind for one in outlook().news.fresh if VICTIM in one.detail} == {"mass-delete"}
            strike.hit()
            scene.check()
            node.source.execute("insert into bid_section select * from away")
            node.source.execute("drop table away")
            scene.publish_admitted()
            scene.check()
            strike.cost = scene.cost()


# --- 24 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.fault(24, "keys that clash")
def test_of_a_key_that_stands_twice_in_a_batch_the_latest_is_seen_and_the_other_kept(pair: Scene, tally: Tally) -> None:
    node = pair.pg()
    for _ in range(ROUNDS):
        with tally.strike("duplicate keys with different content") as strike:
            busy_night(pair)
            number = next(node.numbers)
            older = lot(number, stamp=pair.stamp("090000"), BID_SECTION_NAME="older")
            newer = lot(number, stamp=pair.stamp("100000"), BID_SECTION_NAME="newer")
            node.source.insert("lot", newer, older)
            assert pair.ingest() == {}
            strike.hit()
            kept = pair.ask("select bid_section_name from raw.trading__lot where bid_section_code = %s order by 1",
                            newer["BID_SECTION_CODE"])  # fmt: skip
            assert kept == [("newer",), ("older",)]
            node.source.execute("delete from bid_section where bid_section_name = 'older'")  # the truth: the latest
            pair.publish()
            pair.check()
            strike.cost = pair.cost()


@pytest.mark.fault(24, "parents")
def test_a_cycle_of_parents_in_the_registry_is_refused_before_anything_is_read(pair: Scene, tally: Tally) -> None:
    """Levels say who may be whose parent, so that no chain of parents can come back to itself."""
    path = pair.fleet.folder / "nodes.csv"
    good = path.read_text(encoding="utf-8")
    cycles = {
        "two nodes, each the other's parent": {"210102": "210103", "210103": "210102"},
        "a node that is its own parent": {"210100": "210100"},
        "the province below a county of its own": {"210000": "210102"},
    }
    for variant in list(cycles) * ROUNDS:
        with tally.strike(variant) as strike:
            busy_night(pair)
            lines = [line.split(",") for line in good.splitlines()]
            for line in lines:
                line[3] = cycles[variant].get(line[0], line[3])
            path.write_text("\n".join(map(",".join, lines)), encoding="utf-8")
            failed = pair.ingest()
            assert list(failed) == [NEIGHBOUR, VICTIM]
            for error in failed.values():
                assert isinstance(error, RegistryError)
                assert all(
                    f"nodes.csv: {code}: the parent '{to}'" in str(error) for code, to in cycles[variant].items()
                )
            assert pair.batches() == []
            strike.hit()
            pair.check()
            path.write_text(good, encoding="utf-8")
            assert pair.ingest() == {}
            pair.publish()
            pair.check()
            strike.cost = pair.cost()
