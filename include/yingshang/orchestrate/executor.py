"""Airflow's LocalExecutor with the program's libraries loaded once, before its workers fork.

A night has over a hundred short tasks; each is a fork of a worker. Importing polars, Arrow and ADBC takes longer than
reading a small county, and Great Expectations and dbt take seconds: loaded before the fork, every task has them at once
and shares their memory. The modules are imported only, never used, before the fork: they start no work of their own.
See docs/adr/0006-executor.md.
"""

import logging
import time
from importlib import import_module

from airflow.executors.local_executor import LocalExecutor

from yingshang.contracts import load_contracts
from yingshang.contracts.registry import load_registry
from yingshang.errors import YingshangError

MODULES = (
    "airflow.sdk.definitions.decorators",  # what a DAG file imports by name, which airflow.sdk loads when asked
    "airflow.sdk.definitions.timetables.trigger",
    "airflow.providers.standard.decorators.python",
    "yingshang.orchestrate.alerts",
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
        super().start()
