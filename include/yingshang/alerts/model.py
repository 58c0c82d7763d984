"""What alerts are made of."""

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True)
class FinishedRun:
    """A run of a DAG that has ended."""

    dag_id: str
    run_id: str
    has_failed: bool


@dataclass(frozen=True)
class Finding:
    """Something that people have to be told of.

    Attributes:
        kind: a name of :data:`yingshang.alerts.kinds.KINDS`.
        subject: what it is about, the same from night to night: ``trading 210202``, ``build 12``.
        detail: one line for a person: names of ours, codes, counts, dates. Never text that came from a source.
        state: when it differs from what was last said of the subject, it is said again.
        since: the night (or day, Asia/Shanghai) from which on it is so, if known.
    """

    kind: str
    subject: str
    detail: str
    state: str = ""
    since: dt.date | None = None
