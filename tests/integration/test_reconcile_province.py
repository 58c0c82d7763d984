"""A province whose sources fall silent: every difference is found, and what is visible equals the books again."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from psycopg import sql
from tests.conftest import Warehouse
from tests.support.checker import assert_nothing_lost
from tests.support.ingest import admit_all
from tests.support.province import served
from tests.support.visible import live_rows

from simulator import Province
from simulator.books import ProvinceError
from simulator.silent import Silence
from yingshang.contracts import load_contracts
from yingshang.ingest import ingest_node, open_night
from yingshang.ingest.reconcile import reconcile_node
from yingshang.warehouse.reconciliations import Reconciliation

SILENT = {"210100": "digests", "210200": "full"}
"""A city with PostgreSQL and one with an API."""
DATASETS = ("project", "lot", "notice", "bid", "result", "contract", "performance")


@pytest.fixture
def province(tmp_path: Path, warehouse: Warehouse) -> Iterator[Province]:
    with served(Province(tmp_path / "province", seed=3, profile="tiny"), warehouse) as running:
        yield running


def a_night(province: Province) -> None:
    run_id = f"night-{province.night}"
    open_night(province.night, run_id)
    for node in SILENT:
        ingest_node("trading", node, run_id)
    admit_all()


def compared(run_id: str) -> dict[tuple[str, str], Reconciliation]:
    records = [one for node in SILENT for one in reconcile_node("trading", node, run_id).compared]
    admit_all()
    return {(one.node_code, one.dataset): one for one in records}


def visible(warehouse: Warehouse) -> dict[tuple[str, str], tuple[int, object]]:
    """(node, dataset) -> live keys and their amount in yuan, by the rule of the models."""
    found: dict[tuple[str, str], tuple[int, object]] = {}
    with warehouse.admin() as admin:
        for dataset in DATASETS:
            contract = load_contracts()[f"trading.{dataset}"]
            price = next((one.raw_name for one in contract.columns if one.kind == "decimal"), None)
            form = "coalesce(price_form_code, '1') = '1'" if "PRICE_FORM_CODE" in contract.column_names else "true"
            cents = sql.SQL("round({} * case price_unit when '1' then 10000 else 1 end, 2)").format(
                sql.Identifier(price or "_row")
            )
            amount = (
                sql.SQL("coalesce(sum({0}) filter (where {1} and {0} <= 3000000000), 0)").format(cents, sql.SQL(form))
                if price
                else sql.SQL("0")
            )
            rows = admin.execute(
                sql.SQL("select node_code, count(*), {} from ({}) live group by 1").format(
                    amount, live_rows(contract.name)
                )
            )
            found |= {(node, dataset): (live, total) for node, live, total in rows.fetchall()}
    return found


def in_books(province: Province) -> dict[tuple[str, str], tuple[int, object]]:
    truth = province.truth().filter((pl.col("system") == "trading") & pl.col("node_code").is_in(list(SILENT)))
    sums = truth.group_by("node_code", "dataset").agg(pl.col("live_keys").sum(), pl.col("amount_yuan").sum())
    return {(node, dataset): (live, amount) for node, dataset, live, amount in sums.iter_rows()}


def test_what_falls_silent_is_found_and_what_is_visible_equals_the_books_again(
    warehouse: Warehouse, province: Province
) -> None:
    a_night(province)
    with pytest.raises(ProvinceError, match="first night"):
        province.fall_silent("210100", "lot", lost=1)
    province.advance()
    a_night(province)
    assert visible(warehouse) == in_books(province)
    assert {one.differences for one in compared("quiet").values()} == {0}, "nothing is silent yet"

    silences: dict[str, Silence] = {
        node: province.fall_silent(node, "lot", lost=3, changed=4, deleted=2, rekeyed=2) for node in SILENT
    }
    assert visible(warehouse) != in_books(province)
    found = compared("weekly")
    for node, method in SILENT.items():
        for dataset in DATASETS:
            one = found[node, dataset]
            assert one.method == method
            assert (one.lost_rows, one.changed_rows, one.deleted_rows) == silences[node].count(dataset), (node, dataset)
        assert silences[node].count("lot") == (5, 4, 4)
        assert sum(sum(silences[node].count(child)) for child in ("notice", "bid", "result")) > 0, "children follow"
    assert visible(warehouse) == in_books(province)
    assert {one.differences for one in compared("again").values()} == {0}

    province.fall_silent("210100", "lot", vanish=0.4, seed=1)
    (blocked,) = reconcile_node("trading", "210100", "vanished", datasets=["lot"]).compared
    assert blocked.outcome in ("blocked", "repaired")
    assert (blocked.outcome == "blocked") == (blocked.deleted_rows > 20), "few rows are closed without asking"
    province.advance()
    a_night(province)
    with warehouse.connect("owner") as owner:
        assert_nothing_lost(owner)
    with pytest.raises(ProvinceError, match="sends files"):
        province.fall_silent("210115", "lot", deleted=1)
