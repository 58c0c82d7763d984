"""Stop or warn: each expectation of a suite carries one of the two marks, and the reason for the rule.

In a suite file an expectation is written with its mark as keyword arguments::

    gxe.ExpectColumnValuesToBeBetween(column="reread_ratio", min_value=0.6, **stop("a re-read keeps its rows"))
"""

import importlib
from typing import Any, Literal

Severity = Literal["stop", "warn"]

_IN_DATA_DOCS: dict[Severity, str] = {"stop": "critical", "warn": "warning"}


def stop(reason: str) -> dict[str, Any]:
    """Mark a rule whose failure refuses the batch (landing) or the publication (publish).

    Args:
        reason: what the rule protects; it is part of the message to the data engineer.
    """
    return _mark("stop", reason)


def warn(reason: str) -> dict[str, Any]:
    """Mark a rule whose failure is recorded and shown, and stops nothing."""
    return _mark("warn", reason)


def expectations_module() -> Any:
    """``great_expectations.expectations``. Importing it takes seconds: call this when a gate runs."""
    return importlib.import_module("great_expectations.expectations")


def _mark(severity: Severity, reason: str) -> dict[str, Any]:
    return {"severity": _IN_DATA_DOCS[severity], "meta": {"severity": severity, "reason": reason}}
