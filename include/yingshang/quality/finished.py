"""Rules that hold for every finished mart; a suite file adds its own."""

from typing import Any

from yingshang.quality.marks import expectations_module, stop, warn


def finished(*, least_rows: int = 1) -> list[Any]:
    """Rules for a measure with ``rows``, ``rows_of_another_build`` and ``duplicate_keys``."""
    between = expectations_module().ExpectColumnValuesToBeBetween
    return [
        between(column="rows", min_value=least_rows, **stop("an empty or truncated mart is not published")),
        none("rows_of_another_build", "every row is of the audited build, a fact's of a build of its slot"),
        none("duplicate_keys", "one row per key"),
    ]


def none(column: str, reason: str) -> Any:
    """Stop unless the figure is 0."""
    return expectations_module().ExpectColumnValuesToBeBetween(column=column, min_value=0, max_value=0, **stop(reason))


def at_most(column: str, bound: float, reason: str) -> Any:
    """Warn when the figure is above the bound."""
    return expectations_module().ExpectColumnValuesToBeBetween(column=column, max_value=bound, **warn(reason))


def same(mart: str, source: str, reason: str) -> Any:
    """Stop unless two figures of each row are equal."""
    return expectations_module().ExpectColumnPairValuesToBeEqual(column_A=mart, column_B=source, **stop(reason))
