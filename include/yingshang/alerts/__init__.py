"""Alerts: what people have to be told of, found in the ledger and said once.

:func:`findings` looks, :func:`tell` says what is new, has changed or is over in one message per run. What carries the
message is given by the caller (:mod:`yingshang.orchestrate.notifier` in Airflow).
"""

from yingshang.alerts.findings import findings
from yingshang.alerts.kinds import KINDS, Kind
from yingshang.alerts.message import Message
from yingshang.alerts.model import Finding, FinishedRun
from yingshang.alerts.said import Outlook, outlook, tell

__all__ = ["KINDS", "Finding", "FinishedRun", "Kind", "Message", "Outlook", "findings", "outlook", "tell"]
