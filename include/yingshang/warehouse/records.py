"""What stands in the ledger, as values: runs, batches, events, provisions, check results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from yingshang.errors import TerminalError

BatchKind = Literal["window", "drop", "replay", "reconcile", "reload"]
EventKind = Literal["admitted", "withdrawn", "superseded"]
Outcome = Literal["loaded", "nothing_to_send", "failed", "not_provided"]
Severity = Literal["stop", "warn"]
Stage = Literal["landing", "publish", "dbt"]


class AlreadyLoaded(TerminalError):
    """This run has already loaded this provision (a retry raced the attempt it replaces). Nothing is lost."""


@dataclass(frozen=True)
class NightRun:
    """One run of the nightly job."""

    run_id: str
    night: date
    opened_at: datetime
    cut_off_at: datetime | None
    closed_at: datetime | None
    is_quorum_met: bool | None
    verdict: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class NewBatch:
    """A batch to be written. Rows: source = raw + quarantined + duplicate. Cursors are text yyyyMMddHHmmss.

    ``cursor_low`` is exclusive and None for a read from the beginning; ``cursor_high`` is inclusive.
    ``replay_of``: the batch whose quarantined rows a replay loads. ``is_replacement``: once admitted, it takes the
    place of what the same provision delivered before for the same night and range.
    """

    batch_id: int
    run_id: str
    night: date
    system: str
    dataset: str
    node_code: str
    kind: BatchKind
    source_rows: int
    raw_rows: int
    quarantined_rows: int
    duplicate_rows: int
    contract_version: str
    started_at: datetime
    cursor_low: str | None = None
    cursor_high: str | None = None
    source_clock: str | None = None
    drop_period: str | None = None
    drop_revision: int | None = None
    drop_sha256: str | None = None
    drift: Mapping[str, Any] = field(default_factory=dict)
    profile: Mapping[str, Any] = field(default_factory=dict)
    landing_uri: str | None = None
    landing_bytes: int | None = None
    landing_sha256: str | None = None
    replay_of: int | None = None
    is_replacement: bool = False


@dataclass(frozen=True, kw_only=True)
class Batch(NewBatch):
    """A batch as the ledger has it. ``event`` and ``seq``: its last event, None before the gate has judged it."""

    loaded_at: datetime
    event: EventKind | None
    seq: int | None

    @property
    def is_visible(self) -> bool:
        return self.event == "admitted"


@dataclass(frozen=True)
class Event:
    """What was said of a batch."""

    seq: int
    batch_id: int
    event: EventKind
    reason: str
    actor: str
    at: datetime


@dataclass(frozen=True)
class AdmittedWindow:
    """How far a provision has been admitted without a gap.

    ``cursor_high``: the next window starts here, less the overlap. ``batch_id``, ``night``: the batch that reached it.
    ``has_gap``: later windows are admitted too, beyond one that is not.
    """

    cursor_high: str
    batch_id: int
    night: date
    has_gap: bool


@dataclass(frozen=True)
class ProvisionRun:
    """What came of one provision in one run."""

    run_id: str
    system: str
    dataset: str
    node_code: str
    outcome: Outcome
    attempts: int
    error_type: str | None
    error: str | None
    started_at: datetime | None
    finished_at: datetime


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """One result of one check. ``batch_id`` is set where it speaks of one batch."""

    stage: Stage
    suite: str
    expectation: str
    severity: Severity
    is_success: bool
    run_id: str | None = None
    night: date | None = None
    batch_id: int | None = None
    build_id: int | None = None
    observed: Mapping[str, Any] = field(default_factory=dict)
    message: str | None = None


@dataclass(frozen=True)
class ProvisionState:
    """The newest visible data of a provision that has ever delivered."""

    system: str
    dataset: str
    node_code: str
    last_night: date
    last_cursor: str | None
    last_loaded_at: datetime
    batches: int
    rows: int
