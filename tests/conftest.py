"""Fixtures that many tests share: a real PostgreSQL for each worker, and a fresh warehouse for each test."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from tests.support.faults_table import PROPERTY, ROUNDS, Line, table

from localpg import Cluster
from yingshang import secrets
from yingshang.settings import settings
from yingshang.warehouse import PgConnection, Role, connect
from yingshang.warehouse.roles import DSN_VARIABLE, init_warehouse

TEMPLATE = "warehouse_template"
_numbers = count(1)
LONGEST_FIRST = (
    "tests/e2e/",
    "tests/faults/test_airflow_struck.py",
    "tests/integration/test_province.py",
    "tests/integration/test_ingest_fleet.py",
)
"""Files of minutes start first, so that no worker is left alone with one at the end."""


class FaultTable:
    """Prints the table of the fault suite at the end of a run, whichever workers its lines come from."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":
            self.lines += [Line(**value) for name, value in report.user_properties if name == PROPERTY]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.lines:
            terminalreporter.section(f"faults, {ROUNDS} rounds")
            for line in table(self.lines):
                terminalreporter.write_line(line)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(FaultTable())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        return next((i for i, name in enumerate(LONGEST_FIRST) if item.nodeid.startswith(name)), len(LONGEST_FIRST))

    items.sort(key=rank)


@dataclass(frozen=True)
class Warehouse:
    """A warehouse as `yingshang warehouse init` leaves it, in a database of its own."""

    dsn: str
    """The administrator's DSN of its database. Secret, but of this test only."""
    state: Path
    """YINGSHANG_STATE: landing, secrets."""

    @property
    def dbname(self) -> str:
        return urlsplit(self.dsn).path.lstrip("/")

    def connect(self, role: Role, *, autocommit: bool = False) -> PgConnection:
        """A new connection; the caller closes it (``with``)."""
        return connect(role, autocommit=autocommit)

    def admin(self, *, autocommit: bool = True) -> PgConnection:
        return psycopg.connect(self.dsn, autocommit=autocommit)

    def add_connections(self, new: dict[str, str]) -> None:
        """Connections of sources, by conn id."""
        secrets.save_connections(new)


@pytest.fixture(scope="session")
def pg_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A PostgreSQL cluster for all tests of a worker; each makes databases of its own in it."""
    cluster = Cluster(
        tmp_path_factory.mktemp("pg"),
        settings={
            "fsync": "off", "full_page_writes": "off", "shared_buffers": "128MB", "autovacuum_naptime": "300s",
            "scram_iterations": "1",  # thousands of logins; each would cost 2 ms more
        },
    )  # fmt: skip
    try:
        cluster.start()
        superuser = conninfo_to_dict(cluster.superuser_dsn())
        with psycopg.connect(cluster.superuser_dsn()) as admin:  # its password is older than the setting
            user, password = sql.Identifier(str(superuser["user"])), sql.Literal(str(superuser["password"]))
            admin.execute(sql.SQL("alter role {} password {}").format(user, password))
        yield cluster
    finally:
        cluster.destroy()


@pytest.fixture(scope="session")
def warehouse_template(pg_server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared database to copy. Returns the state folder with its connections and keys."""
    state = tmp_path_factory.mktemp("warehouse_template")
    with psycopg.connect(pg_server.superuser_dsn(), autocommit=True) as admin:
        admin.execute(f"create database {TEMPLATE}")
    with pytest.MonkeyPatch.context() as patch:
        use_state(patch, state)
        init_warehouse(pg_server.superuser_dsn(TEMPLATE))
        secrets.init_keys()
    return state


@pytest.fixture
def warehouse(
    pg_server: Cluster, warehouse_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Warehouse]:
    """A fresh, migrated warehouse; settings, connections and keys of this process lead to it."""
    name = f"warehouse_{os.getpid()}_{next(_numbers)}"
    state = tmp_path / "state"
    shutil.copytree(warehouse_template, state)
    use_state(monkeypatch, state)
    dsn = pg_server.superuser_dsn(name)
    secrets.save_connections({conn_id: _moved(uri, name) for conn_id, uri in _connections().items()})
    with psycopg.connect(pg_server.superuser_dsn(), autocommit=True) as admin:
        admin.execute(f"create database {name} template {TEMPLATE}")
        admin.execute(f"grant create on database {name} to yingshang_owner")  # rights on a database are not copied
        try:
            yield Warehouse(dsn=dsn, state=state)
        finally:
            admin.execute(f"drop database {name} with (force)")


def use_state(patch: pytest.MonkeyPatch, state: Path) -> None:
    """Let this process and its children keep their state in ``state``, and nothing of the outer environment leak in."""
    for variable in list(os.environ):
        if variable.startswith(("YINGSHANG_", "AIRFLOW_CONN_")) and variable != "YINGSHANG_PG_ROOT":
            patch.delenv(variable)
    patch.setenv("YINGSHANG_STATE", str(state))
    patch.delenv(DSN_VARIABLE, raising=False)


def _connections() -> dict[str, str]:
    return {str(key): str(value) for key, value in json.loads(settings().connections.read_text()).items()}


def _moved(uri: str, dbname: str) -> str:
    parts = urlsplit(uri)
    return urlunsplit((parts.scheme, parts.netloc, f"/{dbname}", parts.query, ""))
