"""Arguments that the DAGs share: how tasks are tried again, the levels of nodes, a parameter that takes codes."""

import datetime as dt
from typing import Any

from yingshang.settings import settings

LEVELS = ("province", "city", "county")
"""Levels of nodes, each with a pool ``source_<level>`` that keeps its sources from being overrun."""
CODES: dict[str, Any] = {"type": ["null", "array"], "items": {"type": "string"}}
"""Schema of a parameter that takes codes, or nothing for all."""


def task_defaults(*, execution_hours: int) -> dict[str, Any]:
    """``default_args`` of a DAG: an owner, two retries whose waits double from the settings' up to ten minutes.

    Args:
        execution_hours: a task that takes longer is ended.
    """
    return {
        "owner": "data-engineering",
        "retries": 2,
        "retry_delay": dt.timedelta(seconds=settings().retry_seconds),
        "retry_exponential_backoff": True,
        "max_retry_delay": dt.timedelta(minutes=10),
        "execution_timeout": dt.timedelta(hours=execution_hours),
    }
