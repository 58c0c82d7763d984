"""The frame of a night: opening it, and closing it with the provision matrix and the quorum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from yingshang.errors import TerminalError, UsageError
from yingshang.settings import settings

if TYPE_CHECKING:
    from yingshang.contracts.registry import Quorum, Registry
    from yingshang.warehouse.ledger import ProvisionRun

SHANGHAI = ZoneInfo("Asia/Shanghai")
ARRIVED = ("loaded", "nothing_to_send")
SHOWN, SHOWN_REASONS = 10, 3


class QuorumNotMet(TerminalError):
    """Too few nodes arrived: the night is not published."""


@dataclass(frozen=True)
class OpenNight:
    """An open night.

    ``nodes``: codes of the nodes that have to provide something, by system and level. ``cut_off_at``: None when it has
    passed (a past night).
    """

    run_id: str
    night: date
    cut_off_at: datetime | None
    nodes: Mapping[str, Mapping[str, tuple[str, ...]]]


@dataclass(frozen=True)
class SystemVerdict:
    """How a system did. A node has arrived when all its provisions of the night came.

    ``absent``: nodes of which nothing came. ``partial``: nodes of which something is missing. Both by node code, with
    the missing datasets and why.
    """

    system: str
    nodes: int
    arrived: int
    share: float
    min_share: float
    is_met: bool
    required_missing: tuple[str, ...]
    absent: Mapping[str, Mapping[str, str]]
    partial: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class NightReport:
    """A closed night."""

    run_id: str
    night: date
    closed_at: datetime
    is_quorum_met: bool
    systems: Mapping[str, SystemVerdict] = field(default_factory=dict)


def open_night(night: date, run_id: str) -> OpenNight:
    """Write the run into the ledger and say what is to be read. A repeated call changes nothing.

    Raises:
        UsageError: the night has not ended in Shanghai, or ``run_id`` is a run of another night.
        RegistryError: the registry is not valid.
    """
    from yingshang.contracts.registry import load_registry
    from yingshang.warehouse import ledger, session

    now = datetime.now(SHANGHAI)
    if night >= now.date():
        raise UsageError(
            f"the night {night} has not ended: in Shanghai it is {now:%Y-%m-%d %H:%M}; the newest night is "
            f"{now.date() - timedelta(days=1)}"
        )
    registry = load_registry()
    cut_off = datetime.combine(night + timedelta(days=1), time(settings().cut_off_hour), SHANGHAI)
    with session("ingest") as connection:
        run = ledger.open_night(connection, run_id, night, cut_off_at=cut_off if cut_off > now else None)
    nodes = {system: _by_level(registry, system, night) for system in registry.systems}
    return OpenNight(run_id, night, run.cut_off_at, nodes)


def close_night(run_id: str, now: datetime | None = None) -> NightReport:
    """Complete the provision matrix, and see whether enough nodes arrived. A repeated call judges anew.

    Args:
        now: when it is closed, timezone-aware; by default this moment.

    Raises:
        QuorumNotMet: too few nodes arrived, or a required one did not. The verdict is in the ledger.
        UsageError: there is no such run.
    """
    from yingshang.contracts.registry import load_registry
    from yingshang.warehouse import ledger, session

    closed_at = now or datetime.now(SHANGHAI)
    registry = load_registry()
    with session("ingest") as connection:
        run = ledger.night_run(connection, run_id)
        if run is None:
            raise UsageError(f"no run {run_id!r} in the ledger: open its night first")
        seen = {(one.system, one.dataset, one.node_code) for one in ledger.provision_runs(connection, run_id)}
        for system in registry.systems:
            for one in registry.provisions_of(system, night=run.night):
                if (one.system, one.dataset, one.node_code) not in seen:
                    ledger.record_provision(connection, run_id, one.system, one.dataset, one.node_code, "not_provided")
        matrix = ledger.provision_runs(connection, run_id)
        systems = {
            system: judge(system, [one for one in matrix if one.system == system], registry.quorum[system])
            for system in registry.systems
        }
        is_met = all(verdict.is_met for verdict in systems.values())
        ledger.close_night(
            connection,
            run_id,
            closed_at=closed_at,
            is_quorum_met=is_met,
            verdict={system: _plain(verdict) for system, verdict in systems.items()},
        )
    if not is_met:
        raise QuorumNotMet(
            f"night {run.night}: "
            + "; ".join(_why_not(verdict) for verdict in systems.values() if not verdict.is_met)
            + ". Nothing is published; the last good night stays. Mend these nodes and run their tasks again, or run"
            " the night again"
        )
    return NightReport(run_id, run.night, closed_at, is_met, systems)


def judge(system: str, matrix: Sequence[ProvisionRun], quorum: Quorum) -> SystemVerdict:
    """The verdict on one system from its provision matrix."""
    nodes: dict[str, dict[str, str]] = {}
    came: set[str] = set()
    for one in matrix:
        missing = nodes.setdefault(one.node_code, {})
        if one.outcome in ARRIVED:
            came.add(one.node_code)
        else:
            missing[one.dataset] = f"{one.outcome}: {one.error_type}" if one.error_type else one.outcome
    gaps = {code: missing for code, missing in sorted(nodes.items()) if missing}
    arrived = len(nodes) - len(gaps)
    share = arrived / len(nodes) if nodes else 1.0
    required_missing = tuple(code for code in quorum.required_nodes if code in gaps)
    return SystemVerdict(
        system=system,
        nodes=len(nodes),
        arrived=arrived,
        share=round(share, 4),
        min_share=quorum.min_share,
        is_met=share >= quorum.min_share and not required_missing,
        required_missing=required_missing,
        absent={code: missing for code, missing in gaps.items() if code not in came},
        partial={code: missing for code, missing in gaps.items() if code in came},
    )


def _by_level(registry: Registry, system: str, night: date) -> dict[str, tuple[str, ...]]:
    levels: dict[str, list[str]] = {}
    for node in registry.nodes_of(system, night=night):
        levels.setdefault(node.level, []).append(node.node_code)
    return {level: tuple(codes) for level, codes in levels.items()}


def _why_not(verdict: SystemVerdict) -> str:
    missing = sorted({*verdict.absent, *verdict.partial})
    shown = ", ".join(missing[:SHOWN]) + (f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else "")
    required = f", the required {', '.join(verdict.required_missing)} among the missing" * bool(
        verdict.required_missing
    )
    reasons = Counter(
        why for of in (verdict.absent, verdict.partial) for missing in of.values() for why in missing.values()
    )
    because = ", ".join(f"{number} {why}" for why, number in reasons.most_common(SHOWN_REASONS))
    arrived = f"{verdict.arrived} of {verdict.nodes} nodes arrived"
    if len(verdict.absent) == verdict.nodes:
        arrived = f"nothing came from any of {verdict.nodes} nodes"
    return (
        f"{verdict.system}: {arrived} ({verdict.share:.0%}, needed {verdict.min_share:.0%}){required}; missing: {shown}"
        f"; provisions: {because}"
    )


def _plain(verdict: SystemVerdict) -> dict[str, Any]:
    return {
        "nodes": verdict.nodes,
        "arrived": verdict.arrived,
        "share": verdict.share,
        "min_share": verdict.min_share,
        "is_met": verdict.is_met,
        "required_missing": list(verdict.required_missing),
        "absent": {code: dict(missing) for code, missing in verdict.absent.items()},
        "partial": {code: dict(missing) for code, missing in verdict.partial.items()},
    }
