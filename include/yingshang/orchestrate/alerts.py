"""Alerts through Airflow's notifiers. Where they go is an Apprise connection (docs/how-to/alerts.md)."""

import os
from typing import Any

VARIABLE = "YINGSHANG_ALERTS"


def on_failure(meaning: str) -> list[Any]:
    """Callbacks for a run that failed: one message with all that is new in the ledger, and the failure itself.

    ``meaning``: what the failure means for what is published. It is all that is said when the ledger cannot be read.

    The variable ``YINGSHANG_ALERTS`` names the connection; without it nobody is told but Airflow's own pages.
    """
    return _callbacks(has_failed=True, meaning=meaning)


def on_success() -> list[Any]:
    """Callbacks for a run that ended well: one message with all that is new in the ledger, if anything is."""
    return _callbacks(has_failed=False, meaning="")


def _callbacks(*, has_failed: bool, meaning: str) -> list[Any]:
    conn_id = os.environ.get(VARIABLE)
    if not conn_id:
        return []
    from yingshang.orchestrate.notifier import LedgerNotifier

    return [LedgerNotifier(conn_id, has_failed=has_failed, meaning=meaning)]
