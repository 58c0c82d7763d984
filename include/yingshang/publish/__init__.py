"""Publication: the slots, what builds them, and the flip that readers never notice.

The functions here are the steps of a night: :func:`build`, :func:`audit`, :func:`publish`, :func:`announce`. They may
run in separate processes; the ledger carries the state from one to the next.
"""

import datetime as dt

from yingshang.publish.announcement import Announcement, announce
from yingshang.publish.as_of import PastReport, build_as_of, drop_as_of, list_as_of
from yingshang.publish.lineage import Trace, trace
from yingshang.publish.machine import Publisher
from yingshang.publish.model import BuildReport, GateReport, Publication

__all__ = [
    "Announcement",
    "BuildReport",
    "GateReport",
    "PastReport",
    "Publication",
    "Trace",
    "announce",
    "audit",
    "build",
    "build_as_of",
    "drop_as_of",
    "list_as_of",
    "publish",
    "retire",
    "rollback",
    "trace",
]


def build(night: dt.date, run_id: str | None, full: bool = False) -> BuildReport:
    """Build the idle slot and attach it. See :meth:`Publisher.build`."""
    return Publisher().build(night, run_id, full)


def audit(build_id: int | None) -> GateReport:
    """Run the publish gate on an attached build. See :meth:`Publisher.audit`."""
    return Publisher().audit(build_id)


def publish(build_id: int | None, run_id: str | None) -> Publication:
    """Make an audited build the one that readers see. See :meth:`Publisher.publish`."""
    return Publisher().publish(build_id, run_id)


def rollback(reason: str) -> Publication:
    """Show the publication before the live one again. See :meth:`Publisher.rollback`."""
    return Publisher().rollback(reason)


def retire(mart: str, reason: str) -> None:
    """End a mart for readers. See :meth:`Publisher.retire`."""
    Publisher().retire(mart, reason)
