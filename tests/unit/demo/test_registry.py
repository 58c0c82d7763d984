"""What a simulated province's registry expects of the published figures."""

import datetime as dt
from decimal import Decimal

import pytest

from demo.registry import holds
from yingshang.contracts.registry import PublishedFigure


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
