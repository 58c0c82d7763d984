"""What a simulated province's registry expects of the published figures."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from demo.layout import DemoError
from demo.registry import holds, systems_of, write_registry
from yingshang.contracts.registry import PublishedFigure, load_registry


def figure(value: str, rule: str) -> PublishedFigure:
    return PublishedFigure("f", "trading", Decimal(value), "things", rule, dt.date(2023, 6, 26), "words")


@pytest.mark.parametrize(
    ("published", "rule", "value", "expected"),
    [
        ("38", "equal", "38", True),
        ("38", "equal", "38.0000000001", False),
        ("8710000", "greater", "8710000", False),
        ("8710000", "greater", "8710001", True),
        ("96.5", "equal after rounding to 0.1", "96.45", True),
        ("96.5", "equal after rounding to 0.1", "96.4499999999", False),
        ("-48.2", "equal after rounding to 0.1", "-48.15", True),
        ("3279000000", "equal after rounding to 1000000", "3279499999.99", True),
        ("3279000000", "equal after rounding to 1000000", "3279500000", False),
        ("16727", "equal to the active divisions of that level", "16726", False),
    ],
)
def test_a_value_agrees_with_a_published_one_by_its_rule(published: str, rule: str, value: str, expected: bool) -> None:
    """Rounded half away from zero, as the warehouse rounds."""
    assert holds(figure(published, rule), Decimal(value)) is expected


class OneCity:
    """A province of one city, without a history."""

    def nodes(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(code="210000", city=""), SimpleNamespace(code="210100", city="210100")]

    def figures(self) -> pl.DataFrame:
        return pl.DataFrame({"figure": ["transaction_types"], "value": ["7"]})


def test_a_province_of_which_some_systems_are_read_owes_nothing_of_the_others(tmp_path: Path) -> None:
    """Nodes and figures stay: a figure that nobody provides is incomplete, no smaller number."""
    chosen = systems_of(" hotline,trading")
    assert set(chosen) == {"trading", "hotline"}
    registry = load_registry(write_registry(tmp_path, OneCity(), chosen))
    assert set(registry.systems) == set(chosen)
    assert {(one.system, one.node_code) for one in registry.provisions} == {
        (system, node) for system in chosen for node in ("210000", "210100")
    }
    assert {one.system for one in registry.figures.values()} == {"trading", "supervision", "hotline", "sunshine"}
    write_registry(tmp_path, OneCity(), systems_of(""))
    assert len(load_registry(tmp_path).systems) == 4
    with pytest.raises(DemoError, match="no system tradin: give some of hotline,"):
        systems_of("tradin")
