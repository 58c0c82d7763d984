"""Rules of a finished mart: a figure that is none, or at most so much, or the same as another."""

from typing import Any

from yingshang.quality.marks import expectations_module, stop, warn


def none(column: str, reason: str) -> Any:
    """Stop unless the figure is 0."""
    return expectations_module().ExpectColumnValuesToBeBetween(column=column, min_value=0, max_value=0, **stop(reason))


def at_most(column: str, bound: float, reason: str) -> Any:
    """Warn when the figure is above the bound."""
    return expectations_module().ExpectColumnValuesToBeBetween(column=column, max_value=bound, **warn(reason))


def same(mart: str, source: str, reason: str) -> Any:
    """Stop unless two figures of each row are equal."""
    return expectations_module().ExpectColumnPairValuesToBeEqual(column_A=mart, column_B=source, **stop(reason))
