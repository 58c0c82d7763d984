"""Twelve nights of a tiny province follow each other, and hold every kind of change."""

import polars as pl
import pytest
from tests.unit.simulator.conftest import written

from simulator.books import Books
from simulator.fleet import all_nodes
from simulator.supervision.figures import figures
from simulator.supervision.schema import SUPERVISION
from simulator.trading.schema import TRADING

BASE = 20240813


@pytest.fixture(scope="module")
def many_nights(tmp_path_factory: pytest.TempPathFactory) -> Books:
    return written(tmp_path_factory.mktemp("many"), profile="tiny", seed=5, nights=12)


def test_many_nights_follow_each_other(many_nights: Books) -> None:
    books = many_nights
    assert books.nights()[-1] == 20240825
    for table in TRADING.tables:
        latest = books.latest(table.dataset)
        assert latest.select(table.key).is_unique().all()
    arrived = {n for night in books.nights() for n in books.plan(night).arrived_late}
    assert {all_nodes()[n].connector for n in arrived} >= {"csv", "xlsx"}


def test_twelve_nights_hold_every_kind_of_change(many_nights: Books) -> None:
    books = Books(many_nights.root, SUPERVISION)
    nights = books.nights()[1:]
    kinds = {
        dataset: set(pl.concat([books.delivered(dataset, night) for night in nights])["_kind"])
        for dataset in SUPERVISION.datasets
    }
    common = {"new", "correction", "resent", "tombstone", "revived", "late_cursor", "bad"}
    assert kinds["issue_event"] >= common | {"copy", "older", "resent_drop"}
    assert kinds["issue_outcome"] >= common | {"copy", "older"}
    assert kinds["issue"] >= (common - {"revived"}) | {"late_parent"}
    assert kinds["batch"] == {"correction", "resent"}
    assert any(books.plan(night).late_nodes for night in nights)
    assert figures(books, nights[-1]) == figures(books, BASE)
    for dataset in SUPERVISION.datasets:
        latest = books.latest(dataset)
        assert latest.select(SUPERVISION.table(dataset).key).is_unique().all()
