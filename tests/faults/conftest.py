"""Fixtures of the fault suite: workers to kill, a scene whose truth is known, and the lines of the table."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.conftest import Warehouse
from tests.support.faults import Scene
from tests.support.faults_table import PROPERTY, Tally
from tests.support.faults_workers import Workers

from localpg import Cluster


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    """The lines of the table that this test fills."""
    marker = request.node.get_closest_marker("fault")
    assert marker is not None, "a fault test says which fault it is: @pytest.mark.fault(number, name)"
    found = Tally(*marker.args, **marker.kwargs)
    yield found
    request.node.user_properties.extend((PROPERTY, asdict(line)) for line in found.lines.values())
    seldom = [line.variant for line in found.lines.values() if line.survived == line.hits < found.least]
    assert not seldom, f"struck less than {found.least} times: {', '.join(seldom)}"


@pytest.fixture(scope="session")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    running = Workers(tmp_path_factory.mktemp("workers"))
    yield running
    running.close()


@pytest.fixture
def scene(pg_server: Cluster, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A published first night of a node to strike and a neighbour, both with PostgreSQL sources."""
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))
    with Scene(warehouse, tmp_path) as made:
        yield made
