"""Airflow itself in the middle of a night: its scheduler killed, two of them at once with past nights beside tonight's.

A real Airflow, all of a small province's nodes; the truth is the simulator's own books.
"""

import datetime as dt
import os
import sys
from collections.abc import Iterator, Mapping

import psycopg
import pytest
from tests.support.checker import assert_nothing_lost
from tests.support.demo import (
    Demo,
    backfill,
    kill_with_children,
    running_demo,
    second_scheduler,
    wait_for,
    wait_for_run,
)
from tests.support.faults_table import ROUNDS, Cost, Tally

from demo.books import differences, totals_in_books, totals_in_marts
from yingshang.contracts.registry import load_registry

pytestmark = [pytest.mark.fault(7, "scheduler"), pytest.mark.timeout(3000)]

BLOWS = min(ROUNDS, 3)
"""Each is a whole night of a real Airflow, of about a minute."""
FIRST_NIGHT = dt.date(2024, 8, 13)
SYSTEMS = ("trading",)
NOTICES_SOON = {
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
}
"""A scheduler with these takes over a dead one's tasks within seconds, not minutes; the path is the same."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo with a published first night."""
    with running_demo(tmp_path_factory.mktemp("struck")) as demo:
        done = demo.command("run", "--profile", "tiny", "--nights", "1", "--systems", ",".join(SYSTEMS))
        assert done.returncode == 0, done.stdout + done.stderr
        yield demo
        kill_with_children(demo.scheduler)  # this process's child by now: it would stay a zombie that `clean` waits for


def test_two_schedulers_with_a_backfill_of_three_past_nights_beside_tonight_do_each_task_once(
    stage: Demo, tally: Tally
) -> None:
    for number in range(BLOWS):
        with (
            tally.strike("two at once, three past nights beside tonight's") as strike,
            second_scheduler(stage),
            stage.owner() as owner,
            stage.superuser("airflow") as metadata,
        ):
            night, run_id = _trigger_next(stage)
            last = FIRST_NIGHT - dt.timedelta(days=1 + 3 * number)  # others each round: Airflow reads one back once
            past = backfill(stage.airflow, last - dt.timedelta(days=2), last)
            assert [wait_for_run(stage.airflow, one) for one in (run_id, *past)] == ["success"] * 4
            handed_out = metadata.execute(
                "select count(distinct queued_by_job_id) from task_instance where run_id = any(%s)", ([run_id, *past],)
            ).fetchone()
            assert handed_out == (2,), "both schedulers have handed out tasks of these nights"
            strike.hit()
            again = metadata.execute(
                "select run_id, task_id, map_index from task_instance where run_id = any(%s) and try_number > 1",
                ([run_id, *past],),
            ).fetchall()
            assert again == [], "no task was tried twice"
            strike.cost = _cost(stage, night)
            _assert_published_once(owner, night)
            assert _count(owner, "ops.publication", *past) == 0, "older nights load and gate only"
            assert _count(owner, "ops.batch", *past) > 0


def test_a_scheduler_killed_in_the_middle_of_a_night_and_started_again_does_each_task_once_in_effect(
    stage: Demo, tally: Tally
) -> None:
    for _ in range(BLOWS):
        with tally.strike("killed with its tasks, started again") as strike, stage.owner() as owner:
            night, run_id = _trigger_next(stage)
            wait_for(owner, f"select 1 from ops.batch where run_id = '{run_id}'")
            scheduler = stage.scheduler
            environment = scheduler.environ()
            kill_with_children(scheduler)
            owed = len([one for one in load_registry().provisions if one.valid_from.isoformat() <= night])
            assert 0 < _count(owner, "ops.provision_run", run_id) < owed
            strike.hit()
            _start_scheduler(stage, environment | NOTICES_SOON)
            assert wait_for_run(stage.airflow, run_id) == "success"
            strike.cost = _cost(stage, night)
            _assert_published_once(owner, night)


def _trigger_next(stage: Demo) -> tuple[str, str]:
    """The province lives through another night, whose run begins: the night and the run's id."""
    stage.province.advance()
    night = stage.province.night.isoformat()
    return night, stage.airflow.trigger(night)


def _start_scheduler(stage: Demo, environment: Mapping[str, str]) -> None:
    service = next(one for one in stage.airflow.services if one.name == "airflow-scheduler")
    command = [sys.executable, "-m", "airflow", "scheduler", "--skip-serve-logs"]
    service.start(command, {**os.environ, **environment}, stage.layout.airflow)


def _cost(stage: Demo, night: str) -> Cost:
    """Live keys that the books have and readers do not see, and the other way round; sums are compared to the cent."""
    with stage.reader() as reader:
        marts, books = totals_in_marts(reader), totals_in_books(stage.truth(night), SYSTEMS)
        more = [
            (books[key].live_keys if key in books else 0) - (marts[key].live_keys if key in marts else 0)
            for key in marts.keys() | books.keys()
        ]
        found = Cost(sum(n for n in more if n > 0), -sum(n for n in more if n < 0))
        assert books
        assert found != Cost(0, 0) or not differences(reader, stage.truth(night), SYSTEMS)
        return found


def _assert_published_once(owner: psycopg.Connection, night: str) -> None:
    assert owner.execute("select count(*) from ops.publication where night = %s", (night,)).fetchone() == (1,)
    assert_nothing_lost(owner)


def _count(owner: psycopg.Connection, table: str, *run_ids: str) -> int:
    row = owner.execute(f"select count(*) from {table} where run_id = any(%s)".encode(), (list(run_ids),)).fetchone()
    assert row is not None
    return int(row[0])
