"""Run nights through Airflow, with progress read from the ledger."""

import time

import psycopg
from rich.progress import Progress

from demo.airflow import Airflow
from demo.layout import DemoError
from demo.stack import Stack

NIGHT_SECONDS = 3600
STEPS = ("close_night", "landing_gate", "build", "publish_gate", "publish", "announce")
ENDED = {"success", "failed", "skipped", "upstream_failed"}


def run_night(stack: Stack, airflow: Airflow, dsn: str, night: str, progress: Progress) -> None:
    """One run of `nightly`; returns when it succeeded.

    Raises:
        DemoError: the run failed (with the tasks that did), a service died, or an hour has passed.
    """
    run_id = airflow.trigger(night)
    nodes = progress.add_task(f"night {night}: nodes", total=None)
    steps = progress.add_task(f"night {night}: {STEPS[0]}", total=len(STEPS), visible=False)
    end = time.monotonic() + NIGHT_SECONDS
    while (state := airflow.state(run_id)) not in ("success", "failed"):
        if time.monotonic() > end:
            raise DemoError(
                f"the night {night} did not end within an hour: see {airflow.url}/dags/nightly/runs/{run_id}"
            )
        stack.check()
        counts = airflow.task_counts(run_id)
        read = {task: states for task, states in counts.items() if task.startswith("ingest_")}
        total = sum(sum(states.values()) for states in read.values())
        ended = sum(number for states in read.values() for state, number in states.items() if state in ENDED)
        progress.update(nodes, total=total or None, completed=ended)
        done = [step for step in STEPS if ENDED & set(counts.get(step, {}))]
        current = next((step for step in STEPS if step not in done), STEPS[-1])
        progress.update(
            steps, completed=len(done), description=f"night {night}: {current}", visible=bool(total) and ended == total
        )
        time.sleep(1)
    if state == "failed":
        failed = [task for task, states in airflow.task_counts(run_id).items() if "failed" in states]
        raise DemoError(
            f"the night {night} failed in {', '.join(failed) or 'an unknown task'}: "
            f"see {airflow.url}/dags/nightly/runs/{run_id}"
        )
    progress.update(nodes, completed=progress.tasks[nodes].total or 0)
    progress.update(steps, completed=len(STEPS), visible=False)


def published_night(dsn: str) -> str | None:
    """The newest night published, None before the first."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select max(night)::text from ops.publication").fetchone()
    return row[0] if row else None
