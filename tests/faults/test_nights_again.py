"""The same night twice, twice at once, and again later: nothing is hidden or doubled, and every run ends well (I2)."""

import datetime as dt
import itertools
import signal

import pytest
from tests.support.faults import VICTIM, Scene
from tests.support.faults_marts import lot_publisher
from tests.support.faults_nights import busy_night
from tests.support.faults_table import ROUNDS, Tally
from tests.support.faults_workers import Workers
from tests.support.ingest import admit_all

from yingshang.errors import PublicationPostponed
from yingshang.ingest import open_night

# --- 3 ----------------------------------------------------------------------------------------------------------------


@pytest.mark.fault(3, "the same night again")
def test_a_night_run_twice_and_again_after_the_source_moved_on_hides_and_doubles_nothing(
    pair: Scene, tally: Tally
) -> None:
    for number in range(ROUNDS):
        with tally.strike("twice, then after the source moved on") as strike:
            busy_night(pair)
            assert pair.ingest() == {}
            assert pair.ingest() == {}, "the same run again"
            assert len(pair.batches()) == 1
            pair.publish()
            pair.check()
            night, run = pair.night, pair.run_id
            busy_night(pair)
            assert pair.ingest() == {}
            pair.publish()
            newest = (pair.night, pair.run_id)
            pair.run_id = f"{run} again {number}"
            open_night(night, pair.run_id)
            assert pair.ingest() == {}
            assert pair.batches()[0][0] > 0, "it has read the night again"
            strike.hit()
            admit_all()
            assert lot_publisher().build(night, pair.run_id).build_id is None, "an older night only loads and gates"
            pair.check()
            pair.night, pair.run_id = newest
            pair.publish()
            pair.check()
            strike.cost = pair.cost()


@pytest.mark.fault(3, "the same night again")
def test_a_night_run_twice_at_once_loads_each_row_once(pair: Scene, workers: Workers, tally: Tally) -> None:
    for _ in range(ROUNDS):
        with tally.strike("twice at once, one run") as strike:
            busy_night(pair)
            with pair.held("lock table ops.batch in share row exclusive mode"):
                first = workers.start("ingest", VICTIM, pair.run_id)
                first.wait_until(pair.waits("insert into ops.batch %"))
                second = workers.start("ingest", VICTIM, pair.run_id)
                second.wait_until(pair.waits("%pg_advisory_lock%"))
                strike.hit()
            assert (first.wait(), second.wait()) == (0, 0)
            assert len(pair.batches()) == 1
            assert pair.ingest() == {}
            pair.publish()
            pair.check()
            strike.cost = pair.cost()


@pytest.mark.fault(3, "the same night again")
def test_two_runs_of_a_night_at_once_publish_one_after_the_other(pair: Scene, workers: Workers, tally: Tally) -> None:
    for number in range(ROUNDS):
        with tally.strike("two runs at once, backfill beside") as strike:
            busy_night(pair)
            others = [f"{pair.run_id} other", *(f"backfill {number}.{back}" for back in (2, 3, 4))]
            nights = [pair.night, *(pair.night - dt.timedelta(days=back) for back in (2, 3, 4))]
            for run, night in zip(others, nights, strict=True):
                open_night(night, run)
            running = [workers.start("ingest", node, run) for run in (pair.run_id, *others) for node in pair.sources]
            assert [worker.wait() for worker in running] == [0] * len(running), [worker.said() for worker in running]
            admit_all()
            jobs = [workers.start("publish", str(pair.night), run) for run in (pair.run_id, others[0])]
            past = [workers.start("publish", str(night), run) for run, night in list(zip(others, nights))[1:]]  # noqa: B905
            strike.hit()
            codes = [worker.wait() for worker in (*jobs, *past)]
            assert codes == [0] * 5, [worker.said() for worker in (*jobs, *past)]
            pair.publish()
            pair.check()
            builds = pair.ask("select started_at, finished_at from ops.build order by started_at")
            assert all(one[1] <= next_[0] for one, next_ in itertools.pairwise(builds)), "one at a time"
            assert pair.ask("select count(*) from ops.publication where night < %s and publication_id >"
                            " (select min(publication_id) from ops.publication where night = %s)",
                            pair.night, pair.night) == [(0,)]  # fmt: skip
            strike.cost = pair.cost()


ORDERS = {
    "the first run goes on": "build A, build B, audit A, publish A, audit B, publish B",
    "the second run goes on": "build A, build B, audit B, publish B, audit A, publish A",
    "they take turns": "build A, build B, audit A, audit B, publish B, publish A",
    "between gate and publication": "build A, audit A, build B, publish A, audit B, publish B",
    "the second is killed": "build A, kill B, postpone A, build B, audit A, publish A, audit B, publish B",
    "an older night beside": "build A, older B, audit A, publish A",
}
"""What two runs of a night do, in order. Each step holds the publisher's lock, so that there is no other overlap."""


@pytest.mark.fault(3, "a build replaced by another run's")
def test_a_build_that_another_run_replaces_is_stood_for_by_the_later_one(
    pair: Scene, workers: Workers, tally: Tally
) -> None:
    for variant in list(ORDERS) * ROUNDS:
        with tally.strike(variant) as strike:
            if variant == "an older night beside":
                busy_night(pair)
                assert pair.ingest() == {}
            busy_night(pair)
            assert pair.ingest() == {}
            admit_all()
            publisher, before = lot_publisher(), pair.ask("select count(*) from ops.publication")[0][0]
            built: dict[str, int | None] = {}
            for step, run in map(str.split, ORDERS[variant].split(", ")):
                match step:
                    case "build":
                        built[run] = publisher.build(pair.night, run).build_id
                    case "kill":
                        worker = workers.start("build_killed", str(pair.night), run)
                        assert worker.wait() == -signal.SIGKILL, worker.said()
                    case "older":
                        report = publisher.build(pair.night - dt.timedelta(days=1), run)
                        assert report.build_id is None
                        assert f"build {built['A']} of night {pair.night} is about to be published" in str(
                            report.reason
                        )
                        strike.hit()
                    case "postpone":
                        with pytest.raises(PublicationPostponed, match="by a later one, which was broken off"):
                            publisher.audit(built[run])
                    case "audit":
                        assert publisher.audit(built[run]).passed
                    case "publish":
                        shown = publisher.publish(built[run], run)
                        assert shown.build_id == max(filter(None, built.values())), "one build stands for both"
                if len(built) == 2 and built["A"] != built["B"]:
                    strike.hit()
            pair.now_published()
            pair.check()
            assert pair.ask("select count(*) from ops.publication") == [(before + 1,)], "published once"
            strike.cost = pair.cost()
