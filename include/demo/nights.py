"""Run nights through Airflow, with progress read from the ledger."""

import time

import psycopg
from rich.progress import Progress

from demo.airflow import Airflow
from demo.layout import DemoError
from demo.stack import Stack
from yingshang.contracts.registry import load_registry

NIGHT_SECONDS = 3600
ENDED = ("success", "failed", "skipped", "upstream_failed")
ASK_EVERY = 10
"""Rounds until Airflow is asked for the run itself: for that it loads each of its hundreds of task instances."""
STEPS = ("close_night", "landing_gate", "build", "publish_gate", "publish", "announce")
READ = """
select count(*) from (
    select distinct system, node_code from ops.provision_run where run_id = %s
) as nodes
"""


def run_night(stack: Stack, airflow: Airflow, dsn: str, night: str, progress: Progress) -> None:
    """One run of `nightly`; returns when it succeeded.

    Raises:
        DemoError: the run failed (with the tasks that did), a service died, or an hour has passed.
    """
    run_id = airflow.trigger(night)
    registry = load_registry()
    fleet = {(one.system, one.node_code) for one in registry.provisions if one.valid_from.isoformat() <= night}
    nodes = progress.add_task(f"night {night}: systems of nodes", total=len(fleet))
    steps = progress.add_task(f"night {night}: {STEPS[0]}", total=len(STEPS), visible=False)
    done, rounds, state = 0, 0, "running"
    end = time.monotonic() + NIGHT_SECONDS
    with psycopg.connect(dsn, autocommit=True) as ledger:
        while state not in ("success", "failed"):
            if time.monotonic() > end:
                raise DemoError(
                    f"the night {night} did not end within an hour: see {airflow.url}/dags/nightly/runs/{run_id}"
                )
            stack.check()
            read = ledger.execute(READ, (run_id,)).fetchone()
            assert read is not None  # noqa: S101 - a count
            progress.update(nodes, completed=read[0])
            while read[0] and done < len(STEPS) and airflow.task_state(run_id, STEPS[done]) in ENDED:
                done += 1
            current = STEPS[min(done, len(STEPS) - 1)]
            progress.update(steps, completed=done, description=f"night {night}: {current}", visible=bool(read[0]))
            time.sleep(1)
            rounds += 1
            if done == len(STEPS) or rounds % ASK_EVERY == 0:
                state = airflow.state(run_id)
    if state == "failed":
        failed = [task for task, states in airflow.task_counts(run_id).items() if "failed" in states]
        raise DemoError(
            f"the night {night} failed in {', '.join(failed) or 'an unknown task'}: "
            f"see {airflow.url}/dags/nightly/runs/{run_id}"
        )
    progress.update(steps, completed=len(STEPS), visible=False)


def published_night(dsn: str) -> str | None:
    """The newest night published, None before the first."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select max(night)::text from ops.publication").fetchone()
    return row[0] if row else None
