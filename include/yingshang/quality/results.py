"""Outcomes of checks as messages to the data engineer and as values that JSON can hold."""

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

from yingshang.quality.checks import Failure, Outcome

SHOWN_COLUMNS = 5
UNMEASURED = "the figures can be measured"
"""The expectation that fails when the query of a measure does. Its message is the database's, and may quote a row."""


def explain(subject: str, outcome: Outcome, failure: Failure | None = None) -> str:
    """``<subject>: full_reread_ratio is 0.41; expected full_reread_ratio at least 0.6: <reason>``"""
    if outcome.error is not None:
        said = f"could not be evaluated ({outcome.error})"
    elif failure is not None:
        said = ", ".join(f"{name} is {_short(value)}" for name, value in failure.observed.items()) or "fails"
    else:
        said = f"observed {_short(outcome.observed.get('observed_value', 'a failure'))}"
    return f"{subject}: {said}; expected {outcome.expectation}: {outcome.reason}"


def drifted_columns(drift: Mapping[str, Collection[str]], known: Collection[str]) -> str:
    """``ops.batch.drift`` in words: columns by name where the contract has the name, by number where a source gave it.

    Args:
        drift: what has drifted -> names of columns.
        known: the columns of the contract.
    """
    parts = []
    for what, names in sorted(drift.items()):
        ours = sorted(set(names) & set(known))
        others = len(set(names) - set(known))
        more = len(ours) - SHOWN_COLUMNS
        parts += [f"{what} {', '.join(ours[:SHOWN_COLUMNS])}{f' and {more} more' if more > 0 else ''}"] if ours else []
        parts += [f"{others} column{'s' * (others > 1)} that the contract does not name"] if others else []
    return ", ".join(parts)


def observed(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """What was observed, for ``ops.check_result``. Figures, codes and ids only: see :mod:`yingshang.quality.checks`."""
    return {name: _plain(value) for part in parts for name, value in part.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)


def _short(value: Any) -> str:
    if isinstance(value, float | Decimal):
        return f"{value:,.0f}" if value == round(value) else f"{value:.4g}"
    return str(value)
