"""The Airflow notifier that says what is new in the ledger: one message per run, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import apprise
from airflow.providers.apprise.notifications.apprise import AppriseNotifier
from airflow.sdk.definitions.context import Context

from yingshang.errors import TransientError

if TYPE_CHECKING:
    from yingshang.alerts import FinishedRun, Message


class AlertNotDelivered(TransientError):
    """No service took a message: it counts as not said, and the next run says it."""


class LedgerNotifier(AppriseNotifier):
    """Tells, after a run, what :func:`yingshang.alerts.tell` has to say.

    Args:
        conn_id: the Apprise connection.
        has_failed: whether it is a callback of runs that failed.
        meaning: what a failure means for what is published.
    """

    def __init__(self, conn_id: str, *, has_failed: bool, meaning: str = "") -> None:
        super().__init__(apprise_conn_id=conn_id, title="", body="")
        self._has_failed, self._meaning = has_failed, meaning

    def notify(self, context: Context) -> None:
        """Send what is news. Raises AlertNotDelivered."""
        from yingshang.alerts import FinishedRun, tell  # not when a DAG file is parsed

        run = FinishedRun(context["dag"].dag_id, str(context["run_id"]), self._has_failed)
        try:
            tell(run, self._send)
        except AlertNotDelivered:
            raise
        except Exception as error:
            if run.has_failed:
                self._send(self._without_ledger(run, error))
            raise

    def _without_ledger(self, run: FinishedRun, error: Exception) -> Message:
        """What can be said when the ledger cannot be read. The text of the error stays in the log."""
        from yingshang.alerts import KINDS, Message

        kind = KINDS["run-failed"]
        return Message(
            f"Yingshang: {run.dag_id} failed",
            f"Run {run.run_id} of {run.dag_id} failed: {self._meaning}.\nWhat else there is to say could not be read"
            f" ({type(error).__name__}).\nDo: {kind.runbook}",
        )

    def _send(self, message: Message) -> None:
        services: Any = apprise.Apprise()
        self.hook.set_config_from_conn(conn=self.hook.get_connection(self.apprise_conn_id), apprise_obj=services)
        kind = apprise.NotifyType.FAILURE if self._has_failed else apprise.NotifyType.WARNING
        if not services.notify(title=message.title, body=message.body, notify_type=kind, tag=self.tag):
            raise AlertNotDelivered(
                f"no service of the connection {self.apprise_conn_id!r} took the message ({message.title!r}): see the"
                " lines of apprise above; the next run says it again"
            )
