"""What travels through a publication: slots, builds, results, reports."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from yingshang.errors import BuildError, TransientError
from yingshang.settings import settings
from yingshang.warehouse.rights import MartRights

SlotName = Literal["slot_a", "slot_b"]
SLOTS: tuple[SlotName, SlotName] = ("slot_a", "slot_b")
Kind = Literal["full", "incremental"]


class BreakingChange(BuildError):
    """A mart lost a column or changed a type; readers of the mart would break. Nothing is published."""


class PublisherInterrupted(TransientError):
    """The publisher's session was lost in the middle of a step; the next run repairs what it left."""


@dataclass(frozen=True)
class Slot:
    """A row of ``ops.slot``. ``seq`` 0: nothing in the slot can be built upon."""

    slot: SlotName
    state: str
    build_id: int | None
    seq: int
    night: dt.date | None
    attached_at: dt.datetime | None
    reason: str | None

    @property
    def other(self) -> SlotName:
        return "slot_b" if self.slot == "slot_a" else "slot_a"


@dataclass(frozen=True)
class Live:
    """What readers see now."""

    slot: SlotName
    build_id: int
    publication_id: int
    night: dt.date


@dataclass(frozen=True)
class Build:
    """A row of ``ops.build``: the batches with an event in (from_seq, to_seq], seen as of to_seq and night."""

    build_id: int
    slot: SlotName
    kind: Kind
    from_seq: int
    to_seq: int
    night: dt.date
    run_id: str | None
    code_version: str


@dataclass(frozen=True)
class Plan:
    """What a builder is going to build.

    Attributes:
        marts: tables of the slot that are served to readers.
        code_version: changes whenever the models change.
        needs_full: why the slot can't be built upon, if so.
        rights: who may see what, by mart. A mart without is not built.
    """

    marts: tuple[str, ...]
    code_version: str
    needs_full: str | None = None
    rights: Mapping[str, MartRights] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """The check that a node of the build stands for (a data test)."""

    suite: str
    expectation: str
    severity: Literal["stop", "warn"]
    is_success: bool


@dataclass(frozen=True)
class NodeResult:
    """What became of one node of the build (a model, seed or test)."""

    node_id: str
    resource_type: str
    status: str
    seconds: float
    rows_affected: int | None = None
    message: str | None = None
    check: Check | None = None


@dataclass(frozen=True)
class BuildOutcome:
    """What a builder did. ``error`` names the failed nodes; None: everything succeeded."""

    results: tuple[NodeResult, ...] = ()
    error: str | None = None
    rebuilt: tuple[str, ...] = ()


class Builder(Protocol):
    """Builds all marts of a slot. The production one is :class:`yingshang.publish.dbt_runner.DbtBuilder`."""

    def plan(self, slot: SlotName, last_success: int | None) -> Plan:
        """Look at the code, touch nothing. ``last_success``: id of the last build that succeeded in the slot."""
        ...

    def run(self, plan: Plan, build: Build) -> BuildOutcome:
        """Build the slot. The row of ``ops.build`` is committed before."""
        ...

    def keep(self, plan: Plan, build: Build) -> None:
        """The build has succeeded and is in the ledger: keep what the next plan compares with."""
        ...


class AuditVerdict(Protocol):
    """What the publish gate says of a build."""

    @property
    def passed(self) -> bool: ...


@dataclass(frozen=True)
class Limits:
    """How long (seconds) a step waits: for readers before it ends them, and in all before it is postponed."""

    reader_wait: float = 60.0
    publish_wait: float = 600.0

    @classmethod
    def from_settings(cls) -> "Limits":
        now = settings()
        return cls(now.reader_wait_seconds, now.publish_wait_seconds)


@dataclass(frozen=True)
class BuildReport:
    """What a build did. ``build_id`` is None when there was nothing to publish; ``reason`` says why."""

    build_id: int | None
    night: dt.date
    slot: str | None = None
    kind: str | None = None
    from_seq: int = 0
    to_seq: int = 0
    code_version: str | None = None
    marts: tuple[str, ...] = ()
    rebuilt: tuple[str, ...] = ()
    reason: str | None = None
    nodes: int = 0
    waited_seconds: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class GateReport:
    """What the publish gate said. ``build_id`` None: there was nothing to audit."""

    build_id: int | None
    passed: bool
    summary: str = ""


@dataclass(frozen=True)
class Publication:
    """A row of ``ops.publication``. ``publication_id`` is None when there was nothing to publish."""

    publication_id: int | None
    kind: str
    build_id: int | None
    slot: str | None
    night: dt.date | None
    to_seq: int
    published_at: dt.datetime | None
    missing_nodes: Mapping[str, list[str]] = field(default_factory=dict)
    reason: str | None = None
    waited_seconds: float = 0.0
