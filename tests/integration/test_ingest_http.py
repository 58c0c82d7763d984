"""A city with an API, from its pages into raw and the ledger."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import Warehouse
from tests.support.http_city import CLOCK, SECRET, City, Page, served
from tests.support.ingest import NIGHT, NODE, Fleet, admit_all, lot, run_night

from yingshang.errors import SourceInconsistent
from yingshang.ingest import ingest_node
from yingshang.warehouse import ledger


@pytest.fixture
def city(warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[City]:
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))
    Fleet(tmp_path / "registry").add(NODE, "http", "lot")
    city = City()
    city.rows = [lot(n, CONTRACT_RECKON_PRICE=n * 1.25) for n in range(1, 4501)]
    with served(city) as port:
        warehouse.add_connections({f"trading_{NODE}": f"http://client:{SECRET}@127.0.0.1:{port}/city/1"})
        yield city


def test_all_pages_of_a_city_are_loaded(warehouse: Warehouse, city: City) -> None:
    city.rows += [lot(5000, stamp="20991231235959"), lot(5001, CONTRACT_RECKON_PRICE="面议")]
    lots = run_night("run-1").datasets[0]
    assert (lots.source_rows, lots.raw_rows, lots.quarantined_rows) == (4502, 4500, 2)
    with warehouse.admin() as admin:
        assert admin.execute("select sum(contract_reckon_price)::float8 from raw.trading__lot").fetchone() == (
            sum(n * 1.25 for n in range(1, 4501)),
        )
        reasons = admin.execute("select reasons from quarantine.row order by 1").fetchall()
    assert reasons == [(["cursor_in_future"],), (["type:CONTRACT_RECKON_PRICE"],)]
    with warehouse.connect("ingest") as connection:
        batch = ledger.batches_of_run(connection, "run-1")[0]
    assert (batch.source_clock, batch.cursor_high, batch.drift) == (CLOCK, "20240813100000", {})


def test_the_next_night_asks_for_its_window(warehouse: Warehouse, city: City) -> None:
    run_night("run-1")
    admit_all()
    city.rows.append(lot(6000, stamp="20240813110000"))
    city.targets.clear()
    report = run_night("run-2", night=NIGHT.replace(day=14)).datasets[0]
    assert report.raw_rows == 4501
    assert len([target for target in city.targets if "from=20240813080000" in target]) == 3
    assert len([target for target in city.targets if f"from={CLOCK}" in target]) == 1, "what lies after the clock"


def test_a_page_that_is_not_json_loses_nothing(warehouse: Warehouse, city: City) -> None:
    def spoil(number: int, page: Page) -> tuple[int, dict[str, str], bytes] | None:
        return (200, {"Content-Type": "text/html"}, b"<html>maintenance</html>") if number == 3 else None

    city.spoil = spoil
    with pytest.raises(
        SourceInconsistent, match=r"trading.lot of node 210100, night 2024-08-13: .*a page is not JSON \(text/html"
    ):
        run_night("run-1")
    with warehouse.admin() as admin:
        assert admin.execute("select count(*) from raw.trading__lot").fetchone() == (0,)
        assert admin.execute("select outcome, error_type from ops.provision_run").fetchall() == [
            ("failed", "SourceInconsistent")
        ]
    assert ingest_node("trading", NODE, "run-1").raw_rows == 4500


def test_columns_that_come_and_go_are_noted(warehouse: Warehouse, city: City) -> None:
    for number, row in enumerate(city.rows):
        del row["CURRENCY_CODE"]
        if number > 3000:
            row["NOTE"] = json.dumps({"a": 1})
    run_night("run-1")
    with warehouse.connect("ingest") as connection:
        batch = ledger.batches_of_run(connection, "run-1")[0]
    assert batch.drift == {"extra": ["NOTE"], "missing": ["CURRENCY_CODE"]}
