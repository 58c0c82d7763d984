"""What each task of a DAG calls. Imports stay inside, so that parsing a DAG file costs nothing."""

import csv
import dataclasses
import datetime as dt
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from zoneinfo import ZoneInfo

from yingshang.errors import TransientError
from yingshang.settings import settings

if TYPE_CHECKING:
    from yingshang.ingest.reload import PlannedRead

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
SHANGHAI = ZoneInfo("Asia/Shanghai")


def night_of(logical_date: dt.datetime | None, run_after: dt.datetime, asked: str | None) -> dt.date:
    """The business date of a run: the one asked for, else the Shanghai date that ended before the run.

    Args:
        logical_date: of a scheduled or backfilled run, timezone-aware; None for a run triggered by hand.
        run_after: when the run was due, timezone-aware.
        asked: ``yyyy-mm-dd`` given with a run triggered by hand.
    """
    if asked:
        return dt.date.fromisoformat(asked)
    return (logical_date or run_after).astimezone(SHANGHAI).date() - dt.timedelta(days=1)


def schedule_until() -> dt.datetime | None:
    """When scheduling ends (timezone-aware); None in an installation that is to go on."""
    until = settings().schedule_until
    return until.replace(tzinfo=SHANGHAI) if until and until.tzinfo is None else until


def systems() -> tuple[str, ...]:
    """The systems of the registry, in its order; read with no import of the program."""
    with (settings().registry_dir / "quorum.csv").open(encoding="utf-8") as file:
        return tuple(row["system"] for row in csv.DictReader(file))


def nodes_by_level(system: str) -> dict[str, list[str]]:
    """The nodes that provide anything of a system, by level; read from the registry with no import of the program."""
    registry = settings().registry_dir
    with (registry / "provisions.csv").open(encoding="utf-8") as file:
        providers = {row["node_code"] for row in csv.DictReader(file) if row["system"] == system}
    levels: dict[str, list[str]] = {}
    with (registry / "nodes.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["node_code"] in providers:
                levels.setdefault(row["level"], []).append(row["node_code"])
    return levels


def open_night(night: dt.date, run_id: str) -> dict[str, Any]:
    """Open a night in the ledger, and end the access that the registry gives no more."""
    from yingshang.ingest import open_night as step
    from yingshang.warehouse.access import keep_access

    _call(keep_access)
    return _report(_call(step, night, run_id))


def ingest_node(system: str, node_code: str, run_id: str) -> dict[str, Any]:
    """Read, check, land and load everything that one node provides of one system, until the night's cut-off."""
    return _report(_call(_ingest_until_cut_off, system, node_code, run_id))


def _ingest_until_cut_off(system: str, node_code: str, run_id: str) -> object:
    from yingshang.ingest import ingest_node as step
    from yingshang.orchestrate.cut_off import reading_until

    return step(system, node_code, run_id, until=lambda at: reading_until(at, f"{system} of {node_code}"))


def close_night(run_id: str) -> dict[str, Any]:
    """Complete the provision matrix and check the quorum."""
    from yingshang.ingest import close_night as step

    return _report(_call(step, run_id))


def landing_gate(run_id: str) -> dict[str, Any]:
    """Check tonight's batches; admit the good ones."""
    from yingshang.quality import run_landing_gate as step

    return _report(_call(step, run_id))


def build(night: dt.date, run_id: str) -> dict[str, Any]:
    """Build the marts in the idle slot and attach it."""
    from yingshang.publish import build as step

    return _report(_call(step, night, run_id))


def publish_gate(build_id: int | None) -> dict[str, Any]:
    """Audit the finished marts of the idle slot."""
    from yingshang.publish import audit as step

    return _report(_call(step, build_id))


def publish(build_id: int | None, run_id: str) -> dict[str, Any]:
    """Flip the live slot."""
    from yingshang.publish import publish as step

    return _report(_call(step, build_id, run_id))


def announce(run_id: str) -> dict[str, Any]:
    """Say what the night brought, and write its report. Nothing that fails here takes the publication back."""
    return _report(_call(_announce, run_id))


def _announce(run_id: str) -> dict[str, Any]:
    from yingshang.publish import announce as step
    from yingshang.report import write_report

    said = step(run_id)
    return {**_report(said), "report": str(write_report(run_id, said).path)}


def report_unpublished(run_id: str) -> dict[str, Any]:
    """Write the report of a night that was stopped on its way: it says why nothing was published."""
    from yingshang.report import write_report as step

    return _report(_call(step, run_id))


def plan_reload(params: Mapping[str, Any], run_id: str, level: str) -> list[dict[str, Any]]:
    """What a reload reads from the nodes of one level, a part per night and node; said in the log. None in a dry run.

    Args:
        params: of the DAG: system, nodes, datasets, first, last (yyyy-mm-dd), replace, dry_run.
    """
    from yingshang.ingest.reload import run_of

    parts: dict[tuple[dt.date, str], dict[str, Any]] = {}
    for one in _call(_planned, params):
        if one.level != level:
            continue
        log.info(
            "night %s, node %s, %s.%s: %s; %d rows are loaded, superseded would be: %s",
            *(one.night, one.node_code, one.system, one.dataset, one, one.loaded_rows, one.replaces or "nothing"),
        )
        part = parts.setdefault(
            (one.night, one.node_code),
            {
                "name": f"{one.night} {one.node_code}",
                "run_id": run_of(run_id, one.night),
                "night": one.night.isoformat(),
                "system": one.system,
                "node_code": one.node_code,
                "datasets": [],
                "replace": bool(params["replace"]),
            },
        )
        part["datasets"].append(one.dataset)
    return [] if params["dry_run"] else list(parts.values())


def reload_runs(params: Mapping[str, Any], run_id: str) -> list[str]:
    """The ledger's runs of a reload, one per night; none in a dry run."""
    from yingshang.ingest.reload import run_of

    nights = sorted({one.night for one in _call(_planned, params)})
    return [] if params["dry_run"] else [run_of(run_id, night) for night in nights]


def reload_node(part: Mapping[str, Any]) -> dict[str, Any]:
    """Read what :func:`plan_reload` planned for one night and node."""
    return _report(_call(_reload_node, part))


def _reload_node(part: Mapping[str, Any]) -> object:
    from yingshang.ingest import Again, ingest_node, open_night

    open_night(dt.date.fromisoformat(part["night"]), part["run_id"])
    again = Again(frozenset(part["datasets"]), part["replace"])
    return ingest_node(part["system"], part["node_code"], part["run_id"], again=again)


def _planned(params: Mapping[str, Any]) -> "list[PlannedRead]":
    from yingshang.ingest.reload import nights_between, plan_reload

    first = dt.date.fromisoformat(params["first"])
    nights = nights_between(first, dt.date.fromisoformat(params["last"] or params["first"]))
    return plan_reload(
        params["system"],
        nights,
        datasets=params["datasets"] or (),
        nodes=params["nodes"] or (),
        is_replacement=bool(params["replace"]),
    )


def plan_reconcile(params: Mapping[str, Any], level: str) -> list[dict[str, Any]]:
    """What is compared of the nodes of one level: a part per system and node.

    Args:
        params: of the DAG: systems, nodes, datasets, dry_run.
    """
    return _call(_reconcile_parts, params, level)


def _reconcile_parts(params: Mapping[str, Any], level: str) -> list[dict[str, Any]]:
    from yingshang.errors import UsageError
    from yingshang.ingest.reconcile import nodes_to_compare

    parts, refusals = [], []
    asked = params["systems"] or systems()
    for system in asked:
        try:
            nodes = nodes_to_compare(system, params["nodes"] or (), params["datasets"] or ())
        except UsageError as error:  # a dataset or a node of one system is none of another's
            refusals.append(error)
            continue
        parts += [
            {
                "name": f"{system} {one.node_code}",
                "system": system,
                "node_code": one.node_code,
                "datasets": list(params["datasets"] or ()),
                "dry_run": bool(params["dry_run"]),
            }
            for one in nodes
            if one.level == level
        ]
    if len(refusals) == len(asked):
        raise refusals[0]
    return parts


def reconcile_node(part: Mapping[str, Any], run_id: str) -> dict[str, Any]:
    """Compare and repair what :func:`plan_reconcile` planned for one node. Fails when deletions wait for a word."""
    return _report(_call(_reconcile_node, part, run_id))


def _reconcile_node(part: Mapping[str, Any], run_id: str) -> object:
    from yingshang.ingest import reconcile

    found = reconcile.reconcile_node(
        part["system"], part["node_code"], run_id, datasets=part["datasets"], dry_run=part["dry_run"]
    )
    for one in found.compared:
        log.info(
            "%s: %s; %d lost, %d changed, %d deleted, %d rejected; %d bytes moved of %d; %s",
            *(one.name, one.outcome, one.lost_rows, one.changed_rows, one.deleted_rows, one.rejected_rows),
            *(one.bytes_moved, one.bytes_full, "; ".join(one.notes) or "nothing to note"),
        )
    if found.blocked:
        raise reconcile.mass_delete(found.blocked)
    return found


def reconcile_gate(run_id: str) -> list[dict[str, Any]]:
    """Judge the repairs of a run, night by night."""
    return [_report(one) for one in _call(_reconcile_gate, run_id)]


def _reconcile_gate(run_id: str) -> list[object]:
    from yingshang.ingest.reconcile import unjudged_runs
    from yingshang.quality import run_landing_gate

    return [run_landing_gate(run) for run in unjudged_runs(run_id)]


def maintain(step: str, dry_run: bool) -> dict[str, Any]:
    """One step of housekeeping, see :mod:`yingshang.maintenance`."""
    from yingshang.maintenance import STEPS

    return _report(_call(STEPS[step], dry_run))


def _call(step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run ``step``: transient errors are left to Airflow's retries, everything else fails the task at once."""
    import psycopg
    from airflow.sdk.exceptions import AirflowFailException, AirflowTaskTimeout

    try:
        return step(*args, **kwargs)
    except (TransientError, psycopg.OperationalError, AirflowTaskTimeout):
        raise
    except Exception as error:
        raise AirflowFailException(f"{type(error).__name__}: {error}") from error


def _report(value: object) -> dict[str, Any]:
    plain = _plain(value)
    return plain if isinstance(plain, dict) else {"value": plain}


def _plain(value: object) -> Any:
    """A value that travels between tasks: dataclasses as dicts, dates as ISO text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, dt.date | dt.datetime):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)
