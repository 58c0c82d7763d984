"""What the report of a night is made of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from yingshang.quality.status import LivePublication, WaitingBatch
from yingshang.report.summaries import Changes, Summary


@dataclass(frozen=True)
class Run:
    """The run of the night."""

    run_id: str
    night: dt.date
    opened_at: dt.datetime
    closed_at: dt.datetime | None
    is_quorum_met: bool | None
    verdict: Mapping[str, Any] | None


@dataclass(frozen=True)
class Arrivals:
    """What came of one system. Counts are of provisions, rows are those of the run's batches."""

    system: str
    owed: int
    loaded: int
    silent: int
    failed: int
    not_provided: int
    nodes: int
    source_rows: int
    raw_rows: int
    quarantined_rows: int
    duplicate_rows: int
    batches: int
    admitted: int


@dataclass(frozen=True)
class Absence:
    """Datasets of one node that brought nothing tonight, for one reason.

    Attributes:
        since: first night without them; None when nothing has ever come.
        nights: nights without them, this one included; None when nothing has ever come.
    """

    system: str
    node_code: str
    datasets: tuple[str, ...]
    outcome: str
    since: dt.date | None
    nights: int | None
    reason: str


@dataclass(frozen=True)
class Checked:
    """How many checks of a stage held."""

    stage: str
    severity: str
    passed: int
    failed: int


@dataclass(frozen=True)
class FailedCheck:
    """A check that failed, in words."""

    stage: str
    severity: str
    suite: str
    expectation: str
    message: str
    batch_id: int | None


@dataclass(frozen=True)
class Rejects:
    """Quarantined rows of one dataset of a node; ``reasons`` are rule names with their rows, never a value."""

    system: str
    dataset: str
    node_code: str
    rows: int
    source_rows: int
    reasons: list[str]


@dataclass(frozen=True)
class Drift:
    """A delivery whose columns are not those of its contract."""

    system: str
    dataset: str
    node_code: str
    columns: str


@dataclass(frozen=True)
class Build:
    """The run's last build of the marts."""

    build_id: int
    kind: str
    outcome: str | None
    started_at: dt.datetime
    finished_at: dt.datetime | None


@dataclass(frozen=True)
class NightRows:
    """Rows that a night's runs loaded and rejected."""

    night: dt.date
    raw_rows: int
    quarantined_rows: int


@dataclass(frozen=True)
class NightFacts:
    """Everything that the report of a night says.

    Attributes:
        waiting: batches of the run that a person has to decide on, or that nothing has judged yet.
        node_names: node_code -> name, of all nodes of the registry.
        publication: that of this run; None when it has published nothing.
        live: what readers saw when the facts were read.
        why_unpublished: a sentence for a run that has published nothing.
        summary: this run's publication in brief; else what readers see meanwhile.
    """

    run: Run
    arrivals: tuple[Arrivals, ...]
    absences: tuple[Absence, ...]
    checked: tuple[Checked, ...]
    failed_checks: tuple[FailedCheck, ...]
    waiting: tuple[WaitingBatch, ...]
    rejects: tuple[Rejects, ...]
    drifts: tuple[Drift, ...]
    build: Build | None
    publication: LivePublication | None
    live: LivePublication | None
    why_unpublished: str | None
    summary: Summary | None
    changes: Changes
    overdue: tuple[tuple[str, int], ...]
    rows_by_night: tuple[NightRows, ...]
    node_names: Mapping[str, str]
    read_at: dt.datetime
