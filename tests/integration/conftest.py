"""Fixtures of the tests of the dbt models: a warehouse whose slots have their seeds, copied for each test."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.conftest import TEMPLATE, use_state
from tests.support.dbt_models import Models, profile_variables
from tests.support.raw_log import RawLog

from localpg import Cluster

DATABASE, SEEDED = "models", "models_seeded"
"""One name for the database of every test: dbt parses anew whenever the environment of its profile changes."""


@dataclass(frozen=True)
class ModelsServer:
    """Where the databases of these tests are made."""

    cluster: Cluster
    environment: dict[str, str]
    targets: Path

    def make(self, name: str, template: str) -> None:
        with psycopg.connect(self.cluster.superuser_dsn(), autocommit=True) as admin:
            admin.execute(f"drop database if exists {name} with (force)")
            admin.execute(f"create database {name} template {template}")

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.cluster.superuser_dsn(DATABASE), autocommit=True)


@pytest.fixture(scope="session")
def models_server(
    pg_server: Cluster, warehouse_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ModelsServer]:
    """A warehouse whose slots have their seeds, to copy; dbt has parsed the project for both."""
    with pytest.MonkeyPatch.context() as patch:
        use_state(patch, warehouse_template)
        environment = profile_variables(DATABASE)
    found = ModelsServer(pg_server, environment, tmp_path_factory.mktemp("dbt"))
    found.make(DATABASE, TEMPLATE)
    with found.connect() as connection:
        for slot in ("slot_a", "slot_b"):
            Models(connection, environment, found.targets).seed(slot)
    found.make(SEEDED, DATABASE)
    yield found
    for name in (DATABASE, SEEDED):
        with psycopg.connect(pg_server.superuser_dsn(), autocommit=True) as admin:
            admin.execute(f"drop database if exists {name} with (force)")


@pytest.fixture
def models_admin(models_server: ModelsServer) -> Iterator[psycopg.Connection[Any]]:
    models_server.make(DATABASE, SEEDED)
    with models_server.connect() as connection:
        yield connection


@pytest.fixture
def raw_log(models_admin: psycopg.Connection[Any]) -> RawLog:
    return RawLog(models_admin)


@pytest.fixture
def models(models_admin: psycopg.Connection[Any], models_server: ModelsServer) -> Models:
    return Models(models_admin, models_server.environment, models_server.targets)
