"""The whole demo for a test: its command, Airflow's API, the marts; state in a folder of its own, free ports."""

import contextlib
import datetime as dt
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from tests.conftest import use_state
from tests.support.receiver import Receiver, receiving

from demo.airflow import Airflow
from demo.layout import Layout
from localpg import Cluster, free_port
from simulator import Province
from yingshang.warehouse import dsn


@dataclass(frozen=True)
class Demo:
    """A demo that a test drives as a person would: through its command, Airflow's API and the marts."""

    layout: Layout
    alerts: Receiver

    def command(self, *arguments: str, timeout: float = 900) -> subprocess.CompletedProcess[str]:
        """`python -m demo ...`, as the make targets call it."""
        return subprocess.run(
            [sys.executable, "-m", "demo", *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, "COLUMNS": "160"},
        )

    def run(self, nights: int) -> subprocess.CompletedProcess[str]:
        return self.command("run", "--profile", "tiny", "--scale", "0.02", "--nights", str(nights), "--canaries")

    @property
    def province(self) -> Province:
        return Province(self.layout.province)

    def reader(self) -> psycopg.Connection[Any]:
        return psycopg.connect(dsn("bi_reader"))

    def owner(self) -> psycopg.Connection[Any]:
        return psycopg.connect(dsn("owner"), autocommit=True)

    @property
    def cluster(self) -> Cluster:
        return Cluster(self.layout.warehouse, port=self.layout.warehouse_port)

    def superuser(self, database: str = "yingshang") -> psycopg.Connection[Any]:
        return psycopg.connect(self.cluster.superuser_dsn(database), autocommit=True)

    def processes(self) -> list[psutil.Process]:
        """What the demo has started, by the state folder in its environment."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            environment = process.environ()
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            return False
        return process.pid != os.getpid() and str(self.layout.state) in environment.get("YINGSHANG_STATE", "")

    def truth(self, night: str) -> Path:
        return self.layout.province / "truth" / f"{night}.csv"

    @property
    def scheduler(self) -> psutil.Process:
        """The scheduler that the demo has started. Raises DemoError with its last words when it has ended."""
        service = next(one for one in self.airflow.services if one.name == "airflow-scheduler")
        service.check()
        found = service.process()
        assert found is not None
        return found

    @property
    def airflow(self) -> Airflow:
        airflow = Airflow(self.layout, "postgresql://unused")
        airflow.log_in()
        return airflow


@contextlib.contextmanager
def running_demo(state: Path) -> Iterator[Demo]:
    """A demo on free ports, its alerts received here; everything it started ends with it."""
    layout = Layout(state, free_port(), free_port())
    with pytest.MonkeyPatch.context() as patch, receiving() as (alerts, variables):
        use_state(patch, state)
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.setenv("YINGSHANG_AIRFLOW_PORT", str(layout.airflow_port))
        patch.setenv("YINGSHANG_WAREHOUSE_PORT", str(layout.warehouse_port))
        patch.setenv("YINGSHANG_RETRY_SECONDS", "1")
        running = Demo(layout, alerts)
        try:
            yield running
        finally:
            running.command("clean")


def wait_for_run(airflow: Airflow, run_id: str, seconds: float = 300) -> str:
    """The final state of a run; fails the test when it does not end in time."""
    end = time.monotonic() + seconds
    while (state := airflow.state(run_id)) not in ("success", "failed"):
        assert time.monotonic() < end, f"{run_id} is still {state}"
        time.sleep(1)
    return state


def wait_for(owner: psycopg.Connection[Any], query: str, seconds: float = 120) -> None:
    """Until the query has a row."""
    end = time.monotonic() + seconds
    while owner.execute(query.encode()).fetchone() is None:
        assert time.monotonic() < end, f"no row within {seconds:.0f} s: {query}"
        time.sleep(0.2)


@contextlib.contextmanager
def second_scheduler(demo: Demo) -> Iterator[None]:
    """Another scheduler beside the demo's, with its settings; killed at the end."""
    first = demo.scheduler
    with (demo.layout.logs / "second-scheduler.log").open("w") as log:
        command = [sys.executable, "-m", "airflow", "scheduler"]
        started = subprocess.Popen(command, env=first.environ(), cwd=demo.layout.airflow, stdout=log, stderr=log)
    second = psutil.Process(started.pid)
    try:
        with demo.superuser("airflow") as metadata:
            wait_for(
                metadata,
                "select 1 from job where job_type = 'SchedulerJob' and state = 'running'"
                f" and start_date > to_timestamp({second.create_time():.0f})",
            )
        yield
    finally:
        kill_with_children(second)
        started.wait(20)


def kill_with_children(process: psutil.Process) -> None:
    """``kill -9`` a process and all that it has started; returns once they are gone."""
    family = (*process.children(recursive=True), process)
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive, alive


def wait_for_alert(alerts: Receiver, words: str, seconds: float = 60) -> str:
    """The first message with these words; callbacks are run by the dag-processor, a moment after the run."""
    end = time.monotonic() + seconds
    while not (found := [one["message"] for one in alerts.got if words in one["message"]]):
        assert time.monotonic() < end, f"no {words!r} in {alerts.got}"
        time.sleep(0.2)
    return found[0]


def backfill(airflow: Airflow, first: dt.date, last: dt.date) -> list[str]:
    """Airflow's own backfill of nights, each run at 01:00 of the day after; returns the run ids, oldest night first."""
    day = dt.timedelta(days=1)
    body = {
        "dag_id": "nightly",
        "from_date": f"{first + day}T00:00:00+08:00",
        "to_date": f"{last + day}T23:59:59+08:00",
        "reprocess_behavior": "none",
        "max_active_runs": 3,
        "run_backwards": False,
        "dag_run_conf": {},
    }
    _no_backfill_runs(airflow)
    airflow.call("POST", "/api/v2/backfills", body)
    wanted = {
        str(first + n * day) for n in range((last - first).days + 1)
    }  # in UTC 01:00 of Shanghai is the day before
    for _ in range(60):
        runs = airflow.call("GET", "/api/v2/dags/nightly/dagRuns?run_type=backfill&limit=100")["dag_runs"]
        found = {run["logical_date"][:10]: str(run["dag_run_id"]) for run in runs}
        if wanted <= found.keys():
            return [found[night] for night in sorted(wanted)]
        time.sleep(1)
    raise AssertionError(f"no backfill runs for {first} to {last}")


def _no_backfill_runs(airflow: Airflow, seconds: float = 120) -> None:
    """Until Airflow has closed the backfills before: it looks every half minute, and takes one at a time for a DAG."""
    end = time.monotonic() + seconds
    while any(
        one["completed_at"] is None for one in airflow.call("GET", "/api/v2/backfills?dag_id=nightly")["backfills"]
    ):
        assert time.monotonic() < end, "an earlier backfill is still open"
        time.sleep(1)
