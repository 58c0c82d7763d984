"""Outcomes of checks as messages to the data engineer and as values that JSON can hold."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from yingshang.quality.checks import Failure, Outcome


def explain(subject: str, outcome: Outcome, failure: Failure | None = None) -> str:
    """``<subject>: full_reread_ratio is 0.41; expected full_reread_ratio at least 0.6: <reason>``"""
    if outcome.error is not None:
        said = f"could not be evaluated ({outcome.error})"
    elif failure is not None:
        said = ", ".join(f"{name} is {_short(value)}" for name, value in failure.observed.items()) or "fails"
    else:
        said = f"observed {_short(outcome.observed.get('observed_value', 'a failure'))}"
    return f"{subject}: {said}; expected {outcome.expectation}: {outcome.reason}"


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
