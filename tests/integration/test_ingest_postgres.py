"""A PostgreSQL node, from its exchange database into raw and the ledger."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from localpg import Cluster

from tests.support.ingest import LOT, NODE, Fleet, PgSource, bid, lot, pg_source, run_night


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))
    return Fleet(tmp_path / "registry")


@pytest.fixture
def source(pg_server: Cluster, warehouse, fleet: Fleet) -> Iterator[PgSource]:
    fleet.add(NODE, "postgres", "lot", "bid")
    with pg_source(pg_server, f"front_{warehouse.dbname}", "lot", "bid") as source:
        warehouse.add_connections({f"trading_{NODE}": source.dsn})
        yield source


def test_all_rows_of_the_first_night_are_loaded(warehouse, source: PgSource) -> None:
    source.insert("lot", *(lot(n) for n in range(1, 31)), lot(40, BID_SECTION_CODE="nonsense", CREATE_TIME="20240230"))
    source.insert("bid", *(bid(n) for n in range(1, 11)))
    report = run_night("run-1")
    print(report)
    with warehouse.admin() as admin:
        for r in admin.execute("select * from ops.batch").fetchall(): print(r)
        for r in admin.execute("select * from raw.trading__lot limit 2").fetchall(): print(r)
        for r in admin.execute("select * from raw.trading__bid limit 2").fetchall(): print(r)
        for r in admin.execute("select * from quarantine.row limit 2").fetchall(): print(r)
    assert 0
