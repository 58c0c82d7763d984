"""Airflow's LocalExecutor with the program's libraries loaded once, before its workers fork.

A night has over a hundred short tasks; each is a fork of a worker. Importing polars, Arrow and ADBC takes longer than
reading a small county, and Great Expectations and dbt take seconds: loaded before the fork, every task has them at once
and shares their memory. The modules are imported only, never used, before the fork: they start no work of their own.

Each round of the scheduler looks at every task of every running night, and while tasks end all the time it goes round
without a pause: that took as long as the tasks themselves. Here a round takes ROUND_SECONDS at least, and so that no
worker waits for the next one, more tasks are taken than there are workers: `[core] parallelism` tasks are taken,
YINGSHANG_TASK_WORKERS run at once. See docs/adr/0006-executor.md.
"""

import logging
import time
from importlib import import_module

from airflow.executors.local_executor import LocalExecutor

from yingshang.contracts import load_contracts
from yingshang.contracts.registry import load_registry
from yingshang.errors import YingshangError
from yingshang.settings import settings

MODULES = (
    "airflow.sdk.definitions.decorators",  # what a DAG file imports by name, which airflow.sdk loads when asked
    "airflow.sdk.definitions.timetables.trigger",
    "airflow.providers.standard.decorators.python",
    "yingshang.orchestrate.alerts",
    "yingshang.orchestrate.arguments",
    "yingshang.orchestrate.steps",
    "adbc_driver_manager",
    "adbc_driver_postgresql",
    "pandas",  # Arrow asks for it when it meets a Python list
    "polars_hash",
    "pyarrow.parquet",
    "httpx",
    "lxml.etree",
    "sshfs",
    "python_calamine",
    "cryptography.fernet",
    "stamina",
    "httpcore",
    "anyio",
    "yingshang.connectors.files",
    "yingshang.connectors.http",
    "yingshang.connectors.postgres",
    "yingshang.ingest.batch",
    "great_expectations",
    "yingshang.quality",
    "dbt.cli.main",
    "dbt.adapters.postgres",
    "yingshang.publish",
)

ROUND_SECONDS = 1.0

log = logging.getLogger(__name__)


class PreloadedLocalExecutor(LocalExecutor):
    """``AIRFLOW__CORE__EXECUTOR=yingshang.orchestrate.executor.PreloadedLocalExecutor``."""

    def start(self) -> None:
        """Load the libraries, then fork the workers."""
        began = time.monotonic()
        for name in MODULES:
            import_module(name)
        try:
            load_contracts()  # parsed once; a task reads a file again only if it has changed
            load_registry()
        except YingshangError as error:  # the scheduler goes on: each task that needs them fails with the same words
            log.warning("%s", error)
        log.info("%d modules loaded before the workers fork, in %.1f s", len(MODULES), time.monotonic() - began)
        self._round_began = time.monotonic()
        super().start()

    def heartbeat(self) -> None:
        """Hand on what is due; wait until the scheduler's round has lasted ROUND_SECONDS; take in what has ended."""
        super().heartbeat()
        time.sleep(max(0.0, self._round_began + ROUND_SECONDS - time.monotonic()))
        self._round_began = time.monotonic()
        self.sync()

    def _spawn_workers_with_gc_freeze(self, spawn_number: int) -> None:
        wanted = min(spawn_number, (settings().task_workers or self.parallelism) - len(self.workers))
        if wanted > 0:
            super()._spawn_workers_with_gc_freeze(wanted)  # type: ignore[no-untyped-call]
