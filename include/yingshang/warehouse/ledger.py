"""The ledger (``ops.*``) as seen by ingest and the landing gate: nights, batches, events, provisions, checks.

Every function takes a connection and leaves the commit to its caller. A batch is *visible* while its last event is
``admitted``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from yingshang.errors import UsageError
from yingshang.warehouse.connections import PgConnection
from yingshang.warehouse.records import (
    AdmittedWindow,
    AlreadyLoaded,
    Batch,
    BatchKind,
    CheckResult,
    Event,
    EventKind,
    NewBatch,
    NightRun,
    Outcome,
    ProvisionRun,
    ProvisionState,
    Severity,
    Stage,
)

__all__ = [
    "AdmittedWindow",
    "AlreadyLoaded",
    "Batch",
    "BatchKind",
    "CheckResult",
    "Event",
    "EventKind",
    "NewBatch",
    "NightRun",
    "Outcome",
    "ProvisionRun",
    "ProvisionState",
    "Severity",
    "Stage",
    "admit",
    "batch",
    "batches_of_night",
    "batches_of_run",
    "batches_with_quarantine",
    "close_night",
    "drops_to_read_again",
    "events_of",
    "insert_batch",
    "insert_check_results",
    "last_admitted_window",
    "last_clock",
    "loaded_drops",
    "max_seq",
    "next_batch_id",
    "night_run",
    "open_night",
    "provision_runs",
    "provision_states",
    "reach_of",
    "recent_nights",
    "record_events",
    "record_provision",
    "replaced_by",
    "replays_of",
    "unjudged_batches",
    "visible_batches",
    "windows_of_night",
]

# --- nights -----------------------------------------------------------------------------------------------------------


def open_night(connection: PgConnection, run_id: str, night: date, *, cut_off_at: datetime | None = None) -> NightRun:
    """Write the run, once; a repeated call returns what is there.

    Raises:
        UsageError: ``run_id`` is a run of another night.
    """
    connection.execute(
        "insert into ops.night_run (run_id, night, cut_off_at) values (%s, %s, %s) on conflict (run_id) do nothing",
        (run_id, night, cut_off_at),
    )
    run = night_run(connection, run_id)
    if run is None:
        raise AssertionError(f"run {run_id} vanished")
    if run.night != night:
        raise UsageError(f"run {run_id} is one of the night {run.night}, not of {night}")
    return run


def close_night(
    connection: PgConnection, run_id: str, *, closed_at: datetime, is_quorum_met: bool, verdict: Mapping[str, Any]
) -> None:
    """Say how the night ended. A repeated close replaces the verdict and keeps the first time."""
    connection.execute(
        "update ops.night_run set closed_at = coalesce(closed_at, %s), is_quorum_met = %s, verdict = %s"
        " where run_id = %s",
        (closed_at, is_quorum_met, Jsonb(dict(verdict)), run_id),
    )


def night_run(connection: PgConnection, run_id: str) -> NightRun | None:
    """The run of this id."""
    with connection.cursor(row_factory=class_row(NightRun)) as cursor:
        return cursor.execute(_NIGHTS + " where run_id = %s", (run_id,)).fetchone()


def recent_nights(connection: PgConnection, limit: int = 10) -> list[NightRun]:
    """The newest runs, newest first."""
    with connection.cursor(row_factory=class_row(NightRun)) as cursor:
        return cursor.execute(_NIGHTS + " order by opened_at desc limit %s", (limit,)).fetchall()


# --- batches ----------------------------------------------------------------------------------------------------------


def next_batch_id(connection: PgConnection) -> int:
    """A new batch id. Ids of attempts that came to nothing are never used again."""
    return int(_one(connection, "select nextval('ops.batch_id_seq')")[0])


def insert_batch(connection: PgConnection, batch: NewBatch) -> None:
    """Write the batch, in the transaction that loads its rows.

    Raises:
        AlreadyLoaded: this run has this batch already; roll back.
    """
    names = [one.name for one in fields(NewBatch)]
    values = [getattr(batch, name) for name in names]
    statement = f"insert into ops.batch ({', '.join(names)}) values ({', '.join(['%s'] * len(names))})"  # noqa: S608
    try:
        connection.execute(
            statement,  # names of our own fields
            [Jsonb(dict(value)) if isinstance(value, Mapping) else value for value in values],
        )
    except psycopg.errors.UniqueViolation as error:
        raise AlreadyLoaded(
            f"{batch.system}.{batch.dataset} of node {batch.node_code} is already loaded by run {batch.run_id}"
        ) from error


def batch(connection: PgConnection, batch_id: int) -> Batch:
    """The batch of this id. Raises UsageError."""
    found = _batches(connection, "batch_id = %s", (batch_id,))
    if not found:
        raise UsageError(f"no batch {batch_id} in the ledger: see `yingshang status`")
    return found[0]


def batches_of_run(
    connection: PgConnection, run_id: str, *, system: str | None = None, node_code: str | None = None
) -> list[Batch]:
    """Batches that this run loaded (of one system, of one node), by id."""
    return _batches(
        connection,
        "run_id = %s and (%s::text is null or system = %s) and (%s::text is null or node_code = %s)",
        (run_id, system, system, node_code, node_code),
    )


def batches_of_night(connection: PgConnection, system: str, night: date) -> list[Batch]:
    """Batches of one night of a system, in whichever run they were loaded, by id."""
    return _batches(connection, "system = %s and night = %s", (system, night))


def batches_with_quarantine(
    connection: PgConnection,
    *,
    batch_ids: Sequence[int] = (),
    system: str | None = None,
    dataset: str | None = None,
    node_code: str | None = None,
    night: date | None = None,
) -> list[Batch]:
    """Batches with quarantined rows, as far as they are of all that is given, by id."""
    return _batches(
        connection,
        "quarantined_rows > 0 and (cardinality(%s::bigint[]) = 0 or batch_id = any(%s))"
        " and (%s::text is null or system = %s) and (%s::text is null or dataset = %s)"
        " and (%s::text is null or node_code = %s) and (%s::date is null or night = %s)",
        (
            list(batch_ids), list(batch_ids), system, system, dataset, dataset, node_code, node_code, night, night,
        ),
    )  # fmt: skip


def last_clock(connection: PgConnection, system: str, dataset: str, node_code: str) -> str | None:
    """The source's clock at the newest read of a provision, 14 digits; None when it was never read."""
    row = connection.execute(
        "select source_clock from ops.batch where system = %s and dataset = %s and node_code = %s"
        " and kind <> 'replay' and source_clock is not null order by batch_id desc limit 1",
        (system, dataset, node_code),
    ).fetchone()
    return str(row[0]) if row else None


def unjudged_batches(connection: PgConnection, *, system: str | None = None) -> list[Batch]:
    """Batches of any run without an event: the landing gate has not spoken (yet, or its run was given up), by id."""
    return _batches(connection, "event is null and (%s::text is null or system = %s)", (system, system))


def visible_batches(connection: PgConnection) -> list[Batch]:
    """Batches whose last event is admitted, by id."""
    return _batches(connection, "event = 'admitted'", ())


def windows_of_night(connection: PgConnection, system: str, dataset: str, node_code: str, night: date) -> list[Batch]:
    """Windows that were read for a night, in whichever run and whatever became of them, oldest first.

    Their bounds are what a repeated run of the night reads again.
    """
    return _batches(
        connection,
        "kind = 'window' and system = %s and dataset = %s and node_code = %s and night = %s",
        (system, dataset, node_code, night),
    )


def last_admitted_window(connection: PgConnection, system: str, dataset: str, node_code: str) -> AdmittedWindow | None:
    """How far the provision's admitted windows reach without a gap; None: read from the beginning.

    Windows that were never admitted, or withdrawn or superseded since, do not count. One of them in the middle holds
    the line: the next window starts before it, so that what it had brought is read again and nothing is lost.
    """
    rows = connection.execute(
        """select cursor_low, cursor_high, batch_id, night
        from ops.batch_state
        where system = %s and dataset = %s and node_code = %s
            and kind in ('window', 'reload') and cursor_high is not null and event = 'admitted'
        order by cursor_low nulls first, cursor_high, batch_id""",
        (system, dataset, node_code),
    ).fetchall()
    return reach_of(rows)


def reach_of(windows: Iterable[tuple[str | None, str, int, date]]) -> AdmittedWindow | None:
    """How far windows (low, high, batch id, night) reach from the beginning without a gap.

    ``windows``: in order of low, None first.
    """
    reached: tuple[str, int, date] | None = None
    for low, high, batch_id, night in windows:
        if low is not None and (reached is None or low > reached[0]):
            return AdmittedWindow(*reached, has_gap=True) if reached else None
        if reached is None or high > reached[0]:
            reached = (high, batch_id, night)
    return AdmittedWindow(*reached, has_gap=False) if reached else None


def loaded_drops(
    connection: PgConnection, system: str, dataset: str, node_code: str, *, run_id: str
) -> set[tuple[str, str]]:
    """Drops of the provision that need no reading, as (period, sha256).

    These are those the gate has judged, and those of ``run_id`` itself. A drop that an abandoned run loaded and no
    gate ever judged is read again.
    """
    rows = connection.execute(
        """select distinct drop_period, drop_sha256
        from ops.batch_state
        where system = %s and dataset = %s and node_code = %s and kind = 'drop'
            and (run_id = %s or event is not null)""",
        (system, dataset, node_code, run_id),
    )
    return {(period, sha256) for period, sha256 in rows}


def drops_to_read_again(
    connection: PgConnection, system: str, dataset: str, node_code: str, night: date, *, run_id: str
) -> set[tuple[str, str]]:
    """Drops of the provision that were taken in for a night and are not hidden, as (period, sha256).

    Without those that ``run_id`` has loaded itself: a retry of it goes on with the others.
    """
    rows = connection.execute(
        """select distinct drop_period, drop_sha256
        from ops.batch_state
        where system = %s and dataset = %s and node_code = %s and kind = 'drop' and night = %s
            and coalesce(event, 'admitted') = 'admitted'
        except
        select drop_period, drop_sha256 from ops.batch where run_id = %s and kind = 'drop'""",
        (system, dataset, node_code, night, run_id),
    )
    return {(period, sha256) for period, sha256 in rows}


# --- events -----------------------------------------------------------------------------------------------------------


def has_later_night(connection: PgConnection, system: str, dataset: str, node_code: str, night: date) -> bool:
    """Whether a provision has delivered in a night after ``night``."""
    row = connection.execute(
        "select 1 from ops.batch where system = %s and dataset = %s and node_code = %s and night > %s limit 1",
        (system, dataset, node_code, night),
    ).fetchone()
    return row is not None


def record_events(
    connection: PgConnection, batch_ids: Sequence[int], event: EventKind, *, reason: str, actor: str
) -> list[Event]:
    """Say ``event`` of the batches. Commit at once after it: until then every other writer of events waits.

    seq numbers events in commit order (invariant I3).
    """
    if not batch_ids:
        return []
    rows = connection.execute(
        "select seq from ops.record_events(%s::bigint[], %s, %s, %s)", (list(batch_ids), event, reason, actor)
    ).fetchall()
    return events_of(connection, seqs=[seq for (seq,) in rows])


def admit(connection: PgConnection, batch_ids: Collection[int], *, reason: str, actor: str) -> list[Event]:
    """Admit batches, and supersede what they take the place of. Commit at once after it.

    Of the drops of one period only the newest revision stays visible: an older one is superseded (whether it was
    visible or is among ``batch_ids``). A replacement supersedes the visible windows and reloads of its provision and
    night that lie within its bounds. What was replayed of a batch that is hidden is hidden with it.

    Raises:
        UsageError: a batch does not exist.
    """
    connection.execute("select pg_advisory_xact_lock(4207001)")
    wanted = _batches(connection, "batch_id = any(%s)", (list(batch_ids),))
    unknown = set(batch_ids) - {one.batch_id for one in wanted}
    if unknown:
        raise UsageError(f"no batch {', '.join(map(str, sorted(unknown)))} in the ledger: see `yingshang status`")
    drops = [one for one in wanted if one.kind == "drop"]
    rivals = _visible_drops(connection, drops)
    newest: dict[tuple[str, str, str, str | None], Batch] = {}
    for one in [*rivals, *drops]:
        identity = (one.system, one.dataset, one.node_code, one.drop_period)
        if identity not in newest or _revision(one) > _revision(newest[identity]):
            newest[identity] = one
    kept = {one.batch_id for one in newest.values()}
    older = sorted({one.batch_id for one in [*rivals, *drops]} - kept)
    admitted = [one.batch_id for one in wanted if one.kind != "drop" or one.batch_id in kept]
    replaced = replaced_by(connection, admitted)
    events = record_events(connection, older, "superseded", reason="a newer drop of the same period", actor=actor)
    events += record_events(connection, replaced, "superseded", reason="read again in its place", actor=actor)
    sources = [one.replay_of for one in wanted if one.replay_of is not None]
    hidden = [one.batch_id for one in _batches(connection, "batch_id = any(%s)", (sources,)) if not one.is_visible]
    replays = replays_of(connection, [*older, *replaced, *hidden])
    events += record_events(connection, replays, "superseded", reason="what it replays is hidden", actor=actor)
    admitted = [one for one in admitted if one not in replays]
    return events + record_events(connection, admitted, "admitted", reason=reason, actor=actor)


def replaced_by(connection: PgConnection, batch_ids: Sequence[int]) -> list[int]:
    """Visible batches that the replacements among ``batch_ids`` take the place of, by id."""
    rows = connection.execute(
        """select distinct b.batch_id
        from ops.batch n
        join ops.batch_state b using (system, dataset, node_code, night)
        where n.batch_id = any(%s) and n.is_replacement and n.kind in ('window', 'reload')
            and b.kind in ('window', 'reload') and b.batch_id < n.batch_id and b.event = 'admitted'
            and (n.cursor_low is null or b.cursor_low >= n.cursor_low)
            and (b.cursor_high is null or b.cursor_high <= n.cursor_high)
        order by 1""",
        (list(batch_ids),),
    )
    return [batch_id for (batch_id,) in rows]


def replays_of(connection: PgConnection, batch_ids: Sequence[int]) -> list[int]:
    """The batches that loaded quarantined rows of these batches and are not hidden yet, by id."""
    rows = connection.execute(
        """select batch_id
        from ops.batch_state
        where replay_of = any(%s) and coalesce(event, 'admitted') = 'admitted'
        order by batch_id""",
        (list(batch_ids),),
    )
    return [batch_id for (batch_id,) in rows]


def events_of(
    connection: PgConnection, *, batch_ids: Sequence[int] | None = None, seqs: Sequence[int] | None = None
) -> list[Event]:
    """Events of batches, or of these seqs, by seq."""
    with connection.cursor(row_factory=class_row(Event)) as cursor:
        return cursor.execute(
            "select seq, batch_id, event, reason, actor, at from ops.batch_event"
            " where batch_id = any(%s) or seq = any(%s) order by seq",
            (list(batch_ids or ()), list(seqs or ())),
        ).fetchall()


def max_seq(connection: PgConnection) -> int:
    """The newest committed seq; 0 without events."""
    return int(_one(connection, "select coalesce(max(seq), 0) from ops.batch_event")[0])


# --- provisions, checks -----------------------------------------------------------------------------------------------


def record_provision(
    connection: PgConnection,
    run_id: str,
    system: str,
    dataset: str,
    node_code: str,
    outcome: Outcome,
    *,
    error: BaseException | None = None,
    started_at: datetime | None = None,
) -> None:
    """Say what came of a provision in this run.

    Each call is an attempt; ``loaded`` is never overwritten by a failure.
    """
    connection.execute(
        """insert into ops.provision_run as p
            (run_id, system, dataset, node_code, outcome, error_type, error, started_at)
        values (%s, %s, %s, %s, %s, %s, %s, %s)
        on conflict (run_id, system, dataset, node_code) do update set
            outcome = case when p.outcome = 'loaded' then p.outcome else excluded.outcome end,
            error_type = case when p.outcome = 'loaded' then null else excluded.error_type end,
            error = case when p.outcome = 'loaded' then null else excluded.error end,
            attempts = p.attempts + 1,
            started_at = coalesce(excluded.started_at, p.started_at),
            finished_at = clock_timestamp()""",
        (
            run_id,
            system,
            dataset,
            node_code,
            outcome,
            type(error).__name__ if error else None,
            str(error)[:2000] if error else None,
            started_at,
        ),
    )


def provision_runs(connection: PgConnection, run_id: str, *, system: str | None = None) -> list[ProvisionRun]:
    """The provision matrix of a run."""
    with connection.cursor(row_factory=class_row(ProvisionRun)) as cursor:
        return cursor.execute(
            "select run_id, system, dataset, node_code, outcome, attempts, error_type, error, started_at, finished_at"
            " from ops.provision_run where run_id = %s and (%s::text is null or system = %s)"
            " order by system, node_code, dataset",
            (run_id, system, system),
        ).fetchall()


def provision_states(connection: PgConnection, *, system: str | None = None) -> list[ProvisionState]:
    """The newest visible data of each provision that has any."""
    with connection.cursor(row_factory=class_row(ProvisionState)) as cursor:
        return cursor.execute(
            """select system, dataset, node_code, max(night) as last_night,
                max(coalesce(cursor_high, source_clock)) as last_cursor, max(loaded_at) as last_loaded_at,
                count(*) as batches, sum(raw_rows)::bigint as rows
            from ops.batch_state
            where event = 'admitted' and (%s::text is null or system = %s)
            group by system, dataset, node_code
            order by system, node_code, dataset""",
            (system, system),
        ).fetchall()


def insert_check_results(connection: PgConnection, results: Sequence[CheckResult]) -> None:
    """Write results of checks."""
    names = [one.name for one in fields(CheckResult)]
    statement = f"insert into ops.check_result ({', '.join(names)}) values ({', '.join(['%s'] * len(names))})"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.executemany(
            statement,  # names of our own fields
            [
                [
                    Jsonb(dict(value)) if isinstance(value, Mapping) else value
                    for value in (getattr(one, n) for n in names)
                ]
                for one in results
            ],
        )


# --- private ----------------------------------------------------------------------------------------------------------

_NIGHTS = "select run_id, night, opened_at, cut_off_at, closed_at, is_quorum_met, verdict from ops.night_run"
_BATCH = ", ".join(one.name for one in fields(Batch))


def _batches(connection: PgConnection, condition: str, parameters: Sequence[Any]) -> list[Batch]:
    with connection.cursor(row_factory=class_row(Batch)) as cursor:
        return cursor.execute(
            f"select {_BATCH} from ops.batch_state where {condition} order by batch_id",  # noqa: S608 - our own
            parameters,
        ).fetchall()


def _visible_drops(connection: PgConnection, drops: Sequence[Batch]) -> list[Batch]:
    """Visible drops of the same provisions and periods as ``drops``."""
    if not drops:
        return []
    return _batches(
        connection,
        "kind = 'drop' and event = 'admitted' and (system, dataset, node_code, drop_period) in"
        " (select * from unnest(%s::text[], %s::text[], %s::text[], %s::text[]))",
        (
            [one.system for one in drops],
            [one.dataset for one in drops],
            [one.node_code for one in drops],
            [one.drop_period for one in drops],
        ),
    )


def _revision(one: Batch) -> tuple[int, int]:
    return (one.drop_revision or 0, one.batch_id)


def _one(connection: PgConnection, statement: str) -> tuple[Any, ...]:
    row = connection.execute(statement).fetchone()  # statements of our own
    if row is None:
        raise AssertionError(f"no row from {statement}")
    return row
