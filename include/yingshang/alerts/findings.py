"""What there is to tell: a function of the ledger and the registry, whatever was said before.

A finding is made of names of ours (nodes, datasets, columns of contracts, models, rules), types of errors, counts and
dates. The texts of errors and the names that sources give to columns stay in the ledger: they may quote a row.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence

from yingshang.alerts.kinds import KINDS
from yingshang.alerts.model import Finding, FinishedRun
from yingshang.contracts import load_contracts
from yingshang.contracts.registry import Registry, load_registry
from yingshang.publish.ledger import failed_nodes
from yingshang.quality.results import drifted_columns
from yingshang.quality.status import ProvisionStatus, Standing, standing
from yingshang.settings import settings
from yingshang.warehouse import PgConnection

ALLOWED_NIGHTS = {"daily": 1}
"""How many nights a provision of a cadence may be behind before it counts as silent: one missed night is caught up."""
MASS_DELETE_RULES = ("full_reread_ratio", "resend_ratio", "replacement_ratio", "deleted_share_of_known")
"""Rules of the landing gate that stop a batch because far too much is gone (yingshang.quality.arrivals)."""
ERROR_KINDS = {
    "CredentialError": "credentials-refused",
    "ContractError": "delivery-refused",
    "RejectLimitExceeded": "delivery-refused",
    "LandingUnavailable": "disk-full",
    "DiskFull": "disk-full",
    "UnexpectedError": "program-fault",
    "LoadError": "program-fault",
}
"""Types of errors that are told in the very night; others only once a provision is silent."""
NO_SPACE = "no space left"
SHOWN_NAMES = 5


def findings(connection: PgConnection, run: FinishedRun | None = None) -> list[Finding]:
    """Everything there is to tell now, the gravest kinds first.

    Args:
        connection: as ``publish`` or ``ingest``; autocommit.
        run: the run that has just ended, if any.

    Raises:
        RegistryError, ContractError: the registry or a contract is not valid.
        CredentialError, WarehouseUnavailable: the warehouse does not answer.
    """
    registry = load_registry()
    now = standing(connection, registry)
    found = [
        *_quorum(connection, now),
        *_builds(connection, now, run),
        *_refused_batches(connection, now, registry),
        *_blocked_deletions(connection, registry),
        *_provisions(now, registry),
        *_drift(connection, registry),
    ]
    if run and run.has_failed and not any(KINDS[one.kind].stops_the_night for one in found):
        detail = f"{run.dag_id}: see the log of the failed task of this run in Airflow"
        found.append(Finding("run-failed", f"{run.dag_id} {run.run_id}", detail))
    order = list(KINDS)
    return sorted(found, key=lambda one: (order.index(one.kind), one.subject))


def _quorum(connection: PgConnection, now: Standing) -> Iterator[Finding]:
    row = connection.execute(
        "select night, is_quorum_met, verdict from ops.night_run where night = %s and closed_at is not null"
        " order by opened_at desc limit 1",
        (now.newest_night,),
    ).fetchone()
    if row is None or row[1] is not False or (now.live and now.live.night >= row[0]):
        return
    for system, verdict in row[2].items():
        if not verdict["is_met"]:
            required = [code for code in verdict["required_missing"] if code.isdigit()]
            yield Finding(
                "quorum-not-met",
                f"night {row[0]} {system}",
                f"{system}: {verdict['arrived']} of {verdict['nodes']} nodes arrived ({verdict['share']:.0%}, needed"
                f" {verdict['min_share']:.0%}){f'; required and missing: {_some(required)}' if required else ''}",
                state=f"{verdict['arrived']}",
                since=row[0],
            )


def _builds(connection: PgConnection, now: Standing, run: FinishedRun | None) -> Iterator[Finding]:
    row = connection.execute(
        "select build_id, night, slot, outcome, error, run_id from ops.build where slot is not null"
        " order by build_id desc limit 1"
    ).fetchone()
    if row is None or (now.live and now.live.build_id == row[0]):
        return
    build_id, night, slot, outcome, error, run_id = row
    named = f"build {build_id} of night {night} in {slot}"
    if outcome == "failed" and error != "interrupted":
        yield Finding(
            "build-failed", f"build {build_id}", f"{named}: {_failed_nodes(connection, build_id)}", since=night
        )
        return
    stops = connection.execute(
        "select suite, count(distinct expectation) from ops.check_result where build_id = %s and stage = 'publish'"
        " and severity = 'stop' and not is_success group by suite order by suite",
        (build_id,),
    ).fetchall()
    if stops:
        rules = _some([f"{suite} ({number} rule{'s' * (number > 1)})" for suite, number in stops])
        yield Finding("publish-gate-failed", f"build {build_id}", f"{named}: {rules}", since=night)
        return
    patience = dt.timedelta(seconds=2 * settings().publish_wait_seconds)
    for held in now.slots:
        is_late = dt.datetime.now(dt.UTC) - held.changed_at > patience or bool(run and run.run_id == run_id)
        if held.build_id == build_id and held.state in ("attached", "audited") and is_late:
            said = "passed the gate" if held.state == "audited" else "not audited"
            yield Finding("publication-postponed", f"build {build_id}", f"{named}: {said}, not published", since=night)


def _failed_nodes(connection: PgConnection, build_id: int) -> str:
    names = failed_nodes(connection, build_id)
    return f"failed: {_some(names)}" if names else "failed before a model did"


def _refused_batches(connection: PgConnection, now: Standing, registry: Registry) -> Iterator[Finding]:
    waiting = {one.batch_id: one for one in now.waiting if one.refusals and one.read_again_by is None}
    rows = connection.execute(
        "select batch_id, array_agg(distinct expectation order by expectation) from ops.check_result"
        " where batch_id = any(%s) and stage = 'landing' and severity = 'stop' and not is_success group by batch_id",
        (list(waiting),),
    ).fetchall()
    for batch_id, rules in rows:
        one = waiting[batch_id]
        is_mass = any(rule.startswith(MASS_DELETE_RULES) for rule in rules)
        yield Finding(
            "mass-delete" if is_mass else "landing-gate-failed",
            f"batch {batch_id}",
            f"{one.dataset} of {_node(registry, one.node_code)}, batch {batch_id} ({one.raw_rows:,} rows):"
            f" {_some(rules)}",
            since=one.night,
        )


def _blocked_deletions(connection: PgConnection, registry: Registry) -> Iterator[Finding]:
    """Deletions that a comparison with the source found and did not carry out."""
    rows = connection.execute(
        "select * from (select distinct on (system, dataset, node_code) reconciliation_id, night, system, dataset,"
        " node_code, outcome, deleted_rows, warehouse_rows from ops.reconciliation"
        " order by system, dataset, node_code, reconciliation_id desc) as newest where outcome = 'blocked'"
    ).fetchall()
    for number, night, system, dataset, node_code, _, deleted, rows_here in rows:
        yield Finding(
            "mass-delete",
            f"{system}.{dataset} {node_code}",
            f"{system}.{dataset} of {_node(registry, node_code)}: {deleted:,} of {rows_here:,} rows are gone at the"
            f" source (comparison {number})",
            state=str(deleted),
            since=night,
        )


def _provisions(now: Standing, registry: Registry) -> Iterator[Finding]:
    """Per system and node: errors that nobody but a person can mend, and silence."""
    cadences = {(one.system, one.dataset, one.node_code): one.cadence for one in registry.provisions}
    told: dict[tuple[str, str, str], list[ProvisionStatus]] = {}
    owed: Counter[tuple[str, str]] = Counter()
    for one in now.provisions:
        owed[one.system, one.node_code] += 1
        kind = ERROR_KINDS.get(one.error_type or "") if one.outcome == "failed" else None
        if one.outcome == "failed" and NO_SPACE in (one.error or "").lower():
            kind = "disk-full"
        allowed = ALLOWED_NIGHTS[cadences[one.system, one.dataset, one.node_code]]
        if kind is None and now.newest_night and (one.nights_behind is None or one.nights_behind > allowed):
            kind = "node-silent"
        if kind:
            told.setdefault((kind, one.system, one.node_code), []).append(one)
    for (kind, system, node_code), provisions in told.items():
        datasets = sorted(one.dataset for one in provisions)
        nights = [one.last_night for one in provisions if one.last_night]
        last = min(nights) if len(nights) == len(provisions) else None
        which = f"all {len(datasets)} datasets" if len(datasets) == owed[system, node_code] else _some(datasets)
        reasons = sorted({one.error_type or one.outcome or "no run has asked for it" for one in provisions})
        since = f"last data of night {last}" if last else "never delivered"
        yield Finding(
            kind,
            f"{system} {node_code}",
            f"{system} of {_node(registry, node_code)}: {which}; {since}; {', '.join(reasons)}",
            state=f"{','.join(datasets)}; {','.join(reasons)}" if kind != "node-silent" else ",".join(datasets),
            since=last + dt.timedelta(days=1) if last else None,
        )


def _drift(connection: PgConnection, registry: Registry) -> Iterator[Finding]:
    contracts = load_contracts()
    rows = connection.execute(
        "select * from (select distinct on (system, dataset, node_code) system, dataset, node_code, night, drift"
        " from ops.batch where kind in ('window', 'drop') and source_rows > 0"
        " order by system, dataset, node_code, batch_id desc) as newest where drift <> '{}'"
    ).fetchall()
    owed = {(one.system, one.dataset, one.node_code) for one in registry.provisions}
    for system, dataset, node_code, night, drift in rows:
        if (system, dataset, node_code) not in owed:
            continue
        said = drifted_columns(drift, contracts[f"{system}.{dataset}"].column_names)
        detail = f"{system}.{dataset} of {_node(registry, node_code)}: {said}"
        yield Finding("drift", f"{system}.{dataset} {node_code}", detail, state=said, since=night)


def _node(registry: Registry, node_code: str) -> str:
    node = registry.nodes.get(node_code)
    return f"{node_code} {node.name}" if node else "a node that is no longer in the registry"


def _some(names: Sequence[str], shown: int = SHOWN_NAMES) -> str:
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")
