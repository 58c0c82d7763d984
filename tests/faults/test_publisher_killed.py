"""kill -9 of the publisher at each of its steps: readers keep a whole night, and the next run heals (I2, I5)."""

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.faults_table import ROUNDS, Cost
from tests.support.faults_workers import Worker, Workers
from tests.support.publishing import MARTS, SqlBuilder, cycle, publisher

ROOT = Path(__file__).resolve().parents[2]
STEPS = [
    "plan",
    "wait before detach",
    "detach fct_deal",
    "detach rpt_total",
    "start build",
    "build",
    "dbt",
    "keep",
    "attach",
    "attached",
    "state attached",
    "audit",
    "audited",
    "wait before flip",
    "flip",
    "commit",
    "flipped",
]
FIRST_STEPS = ["start build", "build", "dbt", "attach", "attached", "audited", "commit", "flipped"]
KILLED = -9


@pytest.mark.fault(5, "publisher killed with kill -9")
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step_readers_keep_a_whole_night_and_the_next_run_heals(warehouse, workers, tally, step) -> None:
    cycle(publisher())
    for _ in range(ROUNDS):
        with tally.strike(step) as strike:
            _, last = cycle(publisher())
            assert start_victim(workers, step).wait() == KILLED
            strike.hit()
            assert seen(warehouse) == last.build_id + (1 if step == "flipped" else 0)
            built, published = cycle(publisher())
            assert published.build_id == built.build_id == seen(warehouse)
            cycle(publisher())
            assert_clean(warehouse)
            strike.cost = cost(warehouse)


@pytest.mark.fault(5, "publisher killed with kill -9 at the first build ever", least=1)
@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("step", FIRST_STEPS)
def test_killed_at_the_first_build_ever_the_next_run_heals(warehouse, workers, tally, step, again) -> None:
    with tally.strike(step) as strike:
        assert start_victim(workers, step).wait() == KILLED
        strike.hit()
        cycle(publisher())
        cycle(publisher())
        seen(warehouse)
        assert_clean(warehouse)
        strike.cost = cost(warehouse)


def test_killed_in_the_middle_of_a_detach_the_next_run_completes_it(warehouse, workers) -> None:
    """DETACH CONCURRENTLY waits for a reader: killed there, it leaves a partition that is neither on nor off."""
    cycle(publisher())
    cycle(publisher())
    with warehouse.connect("bi_reader") as reader:
        reader.execute("select count(*) from marts.fct_offer")
        victim = start_victim(workers, "never")
        victim.wait_until(lambda: pending(warehouse) == ["fct_offer"])
        assert victim.kill()
        wait_until(lambda: publishers(warehouse) == 0)
        assert reader.execute("select count(*) from marts.fct_deal").fetchone() == (40,)
    assert seen(warehouse) == 2
    assert pending(warehouse) == ["fct_offer"]
    cycle(publisher())
    assert_clean(warehouse)


def test_what_a_killed_dbt_left_running_does_not_race_the_next_build(warehouse) -> None:
    """Its session holds locks on the slot's tables: it is ended, not waited for."""
    cycle(publisher())
    script = """
        import datetime as dt
        from tests.support.publishing import SqlBuilder, publisher
        from yingshang.warehouse import connect

        def linger(build):
            with connect("transform", application_name="yingshang dbt") as conn:
                conn.execute("set client_connection_check_interval = 0")
                conn.execute(f"alter table {build.slot}.fct_deal add column half_done int")
                conn.execute("select pg_sleep(60)")

        publisher(SqlBuilder(during=linger)).build(dt.date(2024, 8, 13), "victim")
    """
    victim = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, env=environment())
    wait_until(lambda: sleeping(warehouse) == 1)
    victim.kill()
    victim.wait(10)
    assert sleeping(warehouse) == 1
    start = time.monotonic()
    cycle(publisher())
    assert time.monotonic() - start < 20
    assert sleeping(warehouse) == 0
    assert_clean(warehouse)


def test_a_publisher_that_loses_its_session_does_no_more_harm(warehouse) -> None:
    """An administrator ends the session in the middle of a build: no flip without the lock."""

    def cut(build) -> None:
        with warehouse.admin() as admin:
            admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'yingshang publisher'"
                " and datname = current_database()"
            )

    from yingshang.publish.model import PublisherInterrupted

    cycle(publisher())
    with pytest.raises(PublisherInterrupted, match="run the step again"):
        publisher(SqlBuilder(during=cut)).build(cycle.__defaults__[0], "test")
    assert seen(warehouse) == 1
    cycle(publisher())
    assert_clean(warehouse)


def start_victim(workers: Workers, step: str) -> Worker:
    """A publisher that is killed when it comes to a step."""
    return workers.start("publish_until", step)


def cost(warehouse) -> Cost:
    """40 deals were to be seen in each mart, once each."""
    with warehouse.connect("bi_reader") as conn:
        keys = [key for (key,) in conn.execute("select deal_key from marts.fct_deal").fetchall()]
    return Cost(lost=len(set(range(1, 41)) - set(keys)), doubled=len(keys) - len(set(keys)))


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def wait_until(happened: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


def seen(warehouse) -> int:
    """The one build that a BI tool sees in all marts."""
    with warehouse.connect("bi_reader") as conn:
        ids = {
            conn.execute(f"select min(_build_id), max(_build_id), count(*) from marts.{mart}").fetchone()
            for mart in MARTS
        }
        (published,) = conn.execute("select build_id from marts.publication").fetchone()
    assert ids == {(published, published, 40)}
    return published


def pending(warehouse) -> list[str]:
    with warehouse.admin() as admin:
        rows = admin.execute(
            "select relname from pg_inherits inner join pg_class on oid = inhrelid where inhdetachpending"
        )
        return [row[0] for row in rows]


def publishers(warehouse) -> int:
    with warehouse.admin() as admin:
        row = admin.execute(
            "select count(*) from pg_stat_activity where application_name = 'yingshang publisher'"
            " and datname = current_database()"
        ).fetchone()
    return row[0]


def sleeping(warehouse) -> int:
    with warehouse.admin() as admin:
        row = admin.execute("select count(*) from pg_stat_activity where query like 'select pg_sleep(60)%'").fetchone()
    return row[0]


def assert_clean(warehouse) -> None:
    """Both slots complete and attached, every build closed, nothing pending, readers on the last publication."""
    with warehouse.connect("publish") as conn:
        assert {one[0] for one in conn.execute("select state from ops.slot")} == {"live", "idle"}
        assert conn.execute("select count(*) from ops.build where finished_at is null").fetchone() == (0,)
        assert conn.execute("select count(*) from pg_inherits where inhdetachpending").fetchone() == (0,)
        assert conn.execute(
            "select count(*) from pg_inherits inner join pg_class on oid = inhparent where relname = any(%s)",
            (list(MARTS),),
        ).fetchone() == (2 * len(MARTS),)
        last = conn.execute("select build_id from ops.publication order by publication_id desc limit 1").fetchone()
        assert last == (seen(warehouse),)
