"""What the ledger says of one run of a night: arrivals, checks, publication, and what it leaves for a person to do."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, LiteralString, TypeVar

from psycopg.rows import class_row

from yingshang import errors
from yingshang.contracts import load_contracts
from yingshang.contracts.registry import load_registry
from yingshang.errors import UsageError
from yingshang.publish.announcement import NEWEST_RESULTS, Announcement
from yingshang.publish.ledger import failed_nodes
from yingshang.quality.results import UNMEASURED, drifted_columns
from yingshang.quality.status import LivePublication, live_publication, waiting_batches
from yingshang.report.model import (
    Absence,
    Arrivals,
    Build,
    Checked,
    Drift,
    FailedCheck,
    NightFacts,
    NightRows,
    Rejects,
    Run,
)
from yingshang.report.summaries import Changes, changes, keep_summary, summary_before, summary_of
from yingshang.warehouse import PgConnection, session

T = TypeVar("T")
SHOWN_NIGHTS = 14
"""Nights of the chart of rows per night."""
SHOWN_MODELS = 5


def run_of_night(night: dt.date | None) -> str:
    """The newest run of a night; of the newest night that was run, without one.

    Raises:
        UsageError: there is no such run.
    """
    with session("ingest") as connection:
        row = connection.execute(
            "select run_id from ops.night_run where %(night)s::date is null or night = %(night)s"
            " order by night desc, opened_at desc limit 1",
            {"night": night},
        ).fetchone()
    if row is None:
        raise UsageError(
            f"no run of night {night} in the ledger: see `yingshang status`"
            if night
            else "no night has been run yet: run one first, `yingshang night`"
        )
    return str(row[0])


def night_facts(run_id: str, announced: Announcement | None = None) -> NightFacts:
    """Read the facts of a run; keeps the summary of the live publication, for this report and the next.

    Args:
        announced: what was announced a moment ago: spares counting the rows of the marts again.

    Raises:
        UsageError: no such run.
        CredentialError, WarehouseUnavailable: the warehouse does not answer.
    """
    with session("publish", autocommit=True) as connection:
        live = live_publication(connection)
        if live:
            is_counted = announced is not None and announced.publication_id == live.publication_id
            keep_summary(
                connection, live.publication_id, live.slot, announced.rows if announced and is_counted else None
            )
    registry = load_registry()
    with session("ingest") as connection:
        connection.execute("set transaction isolation level repeatable read, read only")
        runs = _all(connection, Run, _RUN, {"run": run_id})
        if not runs:
            raise UsageError(f"no run {run_id} in the ledger: see `yingshang status`")
        run = runs[0]
        asked: dict[str, Any] = {
            "run": run_id,
            "night": run.night,
            "opened_at": run.opened_at,
            "nights": SHOWN_NIGHTS,
            "unmeasured": UNMEASURED,
        }
        publication = next(iter(_all(connection, LivePublication, _PUBLICATION, asked)), None)
        build = next(iter(_all(connection, Build, _BUILD, asked)), None)
        live = live_publication(connection)
        shown = publication or live
        summary = summary_of(connection, shown.publication_id) if shown else None
        asked["build"] = build.build_id if build else None
        failed_checks = tuple(_all(connection, FailedCheck, _FAILED, asked))
        return NightFacts(
            run=run,
            arrivals=tuple(_all(connection, Arrivals, _ARRIVALS, asked)),
            absences=_absences(connection, asked),
            checked=tuple(_all(connection, Checked, _CHECKED, asked)),
            failed_checks=failed_checks,
            waiting=tuple(one for one in waiting_batches(connection, run_id) if one.read_again_by is None),
            rejects=tuple(_all(connection, Rejects, _REJECTS, asked)),
            drifts=_drifts(connection, asked),
            build=build,
            publication=publication,
            live=live,
            why_unpublished=None if publication else _why(connection, run, build, failed_checks, live),
            summary=summary,
            changes=changes(summary_before(connection, summary.publication_id, summary.night), summary)
            if publication and summary
            else Changes(None),
            overdue=tuple(sorted(summary.overdue.items(), key=lambda one: (-one[1], one[0]))) if summary else (),
            rows_by_night=tuple(reversed(_all(connection, NightRows, _ROWS_BY_NIGHT, asked))),
            node_names={code: node.name for code, node in registry.nodes.items()},
            read_at=dt.datetime.now(dt.UTC),
        )


def _why(
    connection: PgConnection,
    run: Run,
    build: Build | None,
    failed: tuple[FailedCheck, ...],
    live: LivePublication | None,
) -> str:
    """Why a run has published nothing, in a sentence that says what to do."""
    stays = f"night {live.night} stays published" if live else "readers have nothing yet"
    if live and live.night > run.night:
        return f"night {live.night} was published before: what this night brought is taken in by the next build"
    if run.closed_at is None:
        return f"the night was never closed: see the tasks open_night and close_night in Airflow; {stays}"
    if run.is_quorum_met is False:
        short = [system for system, said in (run.verdict or {}).items() if not said.get("is_met", True)]
        return (
            f"too few nodes arrived in {', '.join(short) or 'a system'}: once the sources are back, clear the failed"
            f" ingest tasks; {stays}"
        )
    if build is None:
        return f"nothing was built: the landing gate or the build did not run to its end, see the task logs; {stays}"
    if build.outcome is None:
        return f"build {build.build_id} was broken off: clear the task build; {stays}"
    if build.outcome == "failed":
        models = ", ".join(failed_nodes(connection, build.build_id)[:SHOWN_MODELS]) or "see the log of the task build"
        return f"build {build.build_id} failed: {models}; {stays}"
    stops = [one.message for one in failed if one.stage == "publish" and one.severity == "stop"]
    if stops:
        more = f" and {len(stops) - 1} more" if len(stops) > 1 else ""
        return f"the publish gate stopped build {build.build_id}: {stops[0]}{more}; {stays}"
    return (
        f"build {build.build_id} is complete, but was not published: see the tasks publish_gate and publish, then clear"
        f" them; {stays}"
    )


def _absences(connection: PgConnection, asked: Mapping[str, Any]) -> tuple[Absence, ...]:
    grouped: dict[tuple[Any, ...], list[str]] = {}
    for system, dataset, node, outcome, error_type, last in connection.execute(_ABSENCES, asked):
        grouped.setdefault((system, node, outcome, last, _reason(outcome, error_type)), []).append(dataset)
    night: dt.date = asked["night"]
    found = [
        Absence(
            system=system,
            node_code=node,
            datasets=tuple(datasets),
            outcome=outcome,
            since=last + dt.timedelta(days=1) if last else None,
            nights=(night - last).days if last else None,
            reason=reason,
        )
        for (system, node, outcome, last, reason), datasets in grouped.items()
    ]
    return tuple(sorted(found, key=lambda one: (one.nights is not None, -(one.nights or 0), one.system, one.node_code)))


def _reason(outcome: str, error_type: str | None) -> str:
    """What kind of failure it was. The text of an error stays in the ledger: it may quote a row or a connection."""
    if outcome == "not_provided":
        return "nothing was heard of it before the night closed"
    kind = getattr(errors, error_type or "", None)
    said = " ".join((kind.__doc__ or "").split()) if isinstance(kind, type) else "see the log of its task"
    return f"{error_type or 'failed'}: {said}"


def _drifts(connection: PgConnection, asked: Mapping[str, Any]) -> tuple[Drift, ...]:
    known = {name: contract.column_names for name, contract in load_contracts().items()}
    return tuple(
        # A dataset of a past night may have no contract any more: then all of its columns are counted only.
        Drift(system, dataset, node, drifted_columns(drift, known.get(f"{system}.{dataset}", ())))
        for system, dataset, node, drift in connection.execute(_DRIFTS, asked)
    )


def _all(connection: PgConnection, kind: type[T], query: LiteralString, asked: Mapping[str, Any]) -> list[T]:
    with connection.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(query, asked).fetchall()


_RUN: LiteralString = """
select run_id, night, opened_at, closed_at, is_quorum_met, verdict from ops.night_run where run_id = %(run)s
"""

_PUBLICATION: LiteralString = """
select publication_id, kind, build_id, slot, night, to_seq, published_at, missing_nodes
from ops.publication as p
where kind = 'publish' and (
    run_id = %(run)s
    or night = %(night)s and published_at > %(opened_at)s and not exists (
        select from ops.night_run as n where n.run_id = p.run_id  -- published by hand
    )
)
order by publication_id desc limit 1
"""

_BUILD: LiteralString = """
select build_id, kind, outcome, started_at, finished_at
from ops.build as b
where slot is not null and (
    run_id = %(run)s
    or night = %(night)s and started_at > %(opened_at)s and not exists (
        select from ops.night_run as n where n.run_id = b.run_id  -- built by hand
    )
)
order by build_id desc limit 1
"""

_ARRIVALS: LiteralString = """
with provisions as (
    select
        system, count(*) as owed, count(*) filter (where outcome = 'loaded') as loaded,
        count(*) filter (where outcome = 'nothing_to_send') as silent,
        count(*) filter (where outcome = 'failed') as failed,
        count(*) filter (where outcome = 'not_provided') as not_provided,
        count(distinct node_code) as nodes
    from ops.provision_run where run_id = %(run)s group by system
),
loads as (
    select
        system, count(*) as batches, count(*) filter (where event = 'admitted') as admitted,
        sum(source_rows)::bigint as source_rows, sum(raw_rows)::bigint as raw_rows,
        sum(quarantined_rows)::bigint as quarantined_rows, sum(duplicate_rows)::bigint as duplicate_rows
    from ops.batch_state where run_id = %(run)s group by system
)
select
    system, p.owed, p.loaded, p.silent, p.failed, p.not_provided, p.nodes,
    coalesce(l.source_rows, 0) as source_rows, coalesce(l.raw_rows, 0) as raw_rows,
    coalesce(l.quarantined_rows, 0) as quarantined_rows, coalesce(l.duplicate_rows, 0) as duplicate_rows,
    coalesce(l.batches, 0) as batches, coalesce(l.admitted, 0) as admitted
from provisions as p left join loads as l using (system)
order by array_position(array['trading', 'supervision', 'hotline', 'sunshine'], system), system
"""

_ABSENCES: LiteralString = """
with provided as (
    select system, dataset, node_code, night from ops.batch_state where night <= %(night)s and event = 'admitted'
    union all
    select p.system, p.dataset, p.node_code, r.night
    from ops.provision_run as p inner join ops.night_run as r using (run_id)
    where p.outcome = 'nothing_to_send' and r.night <= %(night)s
)
select
    p.system, p.dataset, p.node_code, p.outcome, p.error_type,
    (
        select max(o.night) from provided as o
        where o.system = p.system and o.dataset = p.dataset and o.node_code = p.node_code
    )
from ops.provision_run as p
where p.run_id = %(run)s and p.outcome in ('failed', 'not_provided')
order by p.system, p.node_code, p.dataset
"""

_CHECKED: LiteralString = (
    "with results as ("  # noqa: S608 - our own text
    + NEWEST_RESULTS
    + """)
select
    stage, severity, count(*) filter (where is_failed = false) as passed, count(*) filter (where is_failed) as failed
from (
    select stage, severity, suite, expectation, bool_or(not is_success) as is_failed
    from results group by stage, severity, suite, expectation
) as checks
group by stage, severity
order by array_position(array['landing', 'dbt', 'publish'], stage), severity
"""
)

_FAILED: LiteralString = (
    "with results as ("
    + NEWEST_RESULTS
    + """)
select
    stage, severity, suite, expectation, batch_id,
    case
        -- What the database says of a check that it could not run may quote a row.
        when expectation = %(unmeasured)s or stage = 'dbt' and message !~ '^Got [0-9]+ results?' then
            suite || ': ' || expectation || ' could not be evaluated: ops.check_result has the error'
        else coalesce(message, suite || ': ' || expectation)
    end as message
from results
where not is_success
order by severity, array_position(array['landing', 'dbt', 'publish'], stage), suite, result_id
"""
)

_REJECTS: LiteralString = """
with reasons as (
    select q.system, q.dataset, q.node_code, reason, count(*) as rows
    from quarantine.row as q cross join unnest(q.reasons) as reason
    where q.run_id = %(run)s
    group by q.system, q.dataset, q.node_code, reason
),
rejected as (
    select system, dataset, node_code, count(*) as rows
    from quarantine.row where run_id = %(run)s group by system, dataset, node_code
)
select
    r.system, r.dataset, r.node_code, r.rows,
    coalesce((
        select sum(b.source_rows)::bigint from ops.batch as b
        where b.run_id = %(run)s and (b.system, b.dataset, b.node_code) = (r.system, r.dataset, r.node_code)
    ), 0) as source_rows,
    array(
        select s.reason || ' (' || s.rows || ')' from reasons as s
        where (s.system, s.dataset, s.node_code) = (r.system, r.dataset, r.node_code)
        order by s.rows desc, s.reason limit 5
    ) as reasons
from rejected as r
order by r.rows desc, r.system, r.dataset, r.node_code
"""

_DRIFTS: LiteralString = """
select system, dataset, node_code, drift
from ops.batch where run_id = %(run)s and drift <> '{}' order by system, dataset, node_code
"""

_ROWS_BY_NIGHT: LiteralString = """
select night, sum(raw_rows)::bigint as raw_rows, sum(quarantined_rows)::bigint as quarantined_rows
from ops.batch where night <= %(night)s group by night order by night desc limit %(nights)s
"""
