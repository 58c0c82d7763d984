"""Fixtures of the fault suite: workers to kill, a scene whose truth is known, and the lines of the table."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.conftest import Warehouse
from tests.support.faults import NEIGHBOUR, VICTIM, PgNode, Scene
from tests.support.faults_city import HttpNode
from tests.support.faults_nights import County
from tests.support.faults_table import PROPERTY, Tally
from tests.support.faults_workers import Workers
from tests.support.http_city import SECRET, served
from tests.support.ingest import lot

from localpg import Cluster
from yingshang.connectors import http


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


@pytest.fixture
def pair(scene: Scene, pg_server: Cluster) -> Scene:
    """Two nodes with PostgreSQL, one night published."""
    scene.postgres(NEIGHBOUR, pg_server)
    scene.postgres(VICTIM, pg_server)
    scene.whole_night()
    return scene


@pytest.fixture
def victim(scene: Scene, pg_server: Cluster) -> PgNode:
    """A published first night of 100 lots, the newest at noon of the night."""
    scene.postgres(NEIGHBOUR, pg_server)
    made = scene.postgres(VICTIM, pg_server, rows=100)
    made.add(1, f"{scene.night + dt.timedelta(days=1):%Y%m%d}120000")
    scene.whole_night()
    return made


@pytest.fixture
def county(scene: Scene, pg_server: Cluster) -> County:
    """A county that sends files, beside the neighbour; a first night is published."""
    scene.postgres(NEIGHBOUR, pg_server)
    made = County(scene, *scene.drops())
    scene.open()
    made.deliver(made.new(30))
    assert scene.ingest() == {}
    scene.publish()
    scene.check()
    return made


@pytest.fixture
def city(scene: Scene, pg_server: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpNode]:
    """A city of three pages, published; waits are short."""
    monkeypatch.setattr("tests.support.http_city.CLOCK", "20240814003000")
    for name, seconds in (("read_seconds", 1.0), ("retry_seconds", 3.0), ("total_seconds", 20.0)):
        monkeypatch.setitem(http.HttpSource.__init__.__kwdefaults__, name, seconds)
    monkeypatch.setitem(http.HttpSource.__init__.__kwdefaults__, "page_rows", 20)
    scene.postgres(NEIGHBOUR, pg_server)
    made = HttpNode()
    made.rows = [lot(n, stamp=f"20240813{100000 + n}") for n in range(1, 51)]
    with served(made) as port:
        scene.add(made, "http", f"http://client:{SECRET}@127.0.0.1:{port}/city/1")
        scene.whole_night()
        yield made
