"""Alerts through Airflow's notifiers. Where they go is an Apprise connection (docs/how-to/alerts.md)."""

import os
from typing import Any


def on_failure(meaning: str) -> list[Any]:
    """Callbacks for a failed run: a message to every service of the Apprise connection, if one is configured.

    ``meaning``: what the failure means for what is published; it follows "Run ... failed: ".

    The variable ``YINGSHANG_ALERTS`` names the connection; without it nobody is told but Airflow's own pages.
    """
    conn_id = os.environ.get("YINGSHANG_ALERTS")
    if not conn_id:
        return []
    from airflow.providers.apprise.notifications.apprise import send_apprise_notification

    return [
        send_apprise_notification(
            title="Yingshang: {{ dag.dag_id }} failed",
            body=f"Run {{{{ run_id }}}} failed: {meaning}.",
            apprise_conn_id=conn_id,
        )
    ]
