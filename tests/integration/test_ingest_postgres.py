"""A PostgreSQL node, from its exchange database into raw and the ledger."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import Warehouse
from tests.support.ingest import NODE, Fleet, PgSource, bid, lot, pg_source, run_night

from localpg import Cluster


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))
    return Fleet(tmp_path / "registry")


@pytest.fixture
def source(pg_server: Cluster, warehouse: Warehouse, fleet: Fleet) -> Iterator[PgSource]:
    fleet.add(NODE, "postgres", "lot", "bid")
    with pg_source(pg_server, f"front_{warehouse.dbname}", "lot", "bid") as source:
        warehouse.add_connections({f"trading_{NODE}": source.dsn})
        yield source


def test_the_first_night_takes_in_everything_and_accounts_for_every_row(warehouse: Warehouse, source: PgSource) -> None:
    source.insert("lot", *(lot(n) for n in range(1, 31)), lot(7), lot(40, CREATE_TIME="20240230"))
    source.insert("bid", *(bid(n) for n in range(1, 11)))
    report = run_night("run-1")
    lots, bids = report.datasets
    assert (lots.source_rows, lots.raw_rows, lots.quarantined_rows, lots.duplicate_rows) == (32, 30, 1, 1)
    assert lots.source_rows == source.count("lot")
    assert (bids.source_rows, bids.raw_rows) == (10, 10)
    with warehouse.admin() as admin:
        assert admin.execute("select count(*) from raw.trading__lot").fetchone() == (30,)
        assert admin.execute("select count(*) from raw.trading__bid").fetchone() == (10,)
        assert admin.execute("select reasons from quarantine.row").fetchall() == [(["time:CREATE_TIME"],)]
        assert admin.execute("select count(*) from ops.batch_event").fetchone() == (0,)
