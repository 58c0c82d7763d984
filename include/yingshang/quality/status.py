"""How things stand: what readers see, the last nights, the age of each provision, the batches that wait for a word."""

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import psycopg
from psycopg.rows import class_row

from yingshang.contracts.registry import Registry, load_registry
from yingshang.quality.scorecard import SourceLevel, published_levels
from yingshang.warehouse import PgConnection, ledger, session
from yingshang.warehouse.past import PastNight, past_nights

T = TypeVar("T")


@dataclass(frozen=True)
class LivePublication:
    """A publication, as readers see or saw it. ``missing_nodes``: system -> nodes without data of the night."""

    publication_id: int
    kind: str
    night: dt.date
    slot: str
    build_id: int
    to_seq: int
    published_at: dt.datetime
    missing_nodes: dict[str, list[str]]


@dataclass(frozen=True)
class SlotStatus:
    """One of the two builds of the marts."""

    slot: str
    state: str
    build_id: int | None
    night: dt.date | None
    seq: int
    changed_at: dt.datetime
    reason: str | None


@dataclass(frozen=True)
class NightStatus:
    """One run of a night. Provisions are counted by outcome, batches by what became of them (waiting: no event yet)."""

    run_id: str
    night: dt.date
    opened_at: dt.datetime
    closed_at: dt.datetime | None
    is_quorum_met: bool | None
    loaded: int
    nothing_to_send: int
    failed: int
    not_provided: int
    batches: int
    admitted: int
    waiting: int
    raw_rows: int
    quarantined_rows: int
    stops: int
    warnings: int
    published_at: dt.datetime | None


@dataclass(frozen=True)
class ProvisionStatus:
    """What a node owes and how old its newest admitted data are.

    Attributes:
        last_night: the newest night of its admitted batches, or on which it had nothing to send.
        nights_behind: nights from ``last_night`` to the newest one that was run; None when it never delivered.
        last_cursor: greatest cursor admitted, ``yyyyMMddHHmmss`` Asia/Shanghai.
        outcome: what came of it in the newest run; ``error`` and its type: why nothing came.
    """

    system: str
    dataset: str
    node_code: str
    node_name: str
    level: str
    connector: str
    last_night: dt.date | None
    nights_behind: int | None
    last_cursor: str | None
    rows: int
    outcome: str | None
    error: str | None
    error_type: str | None

    @property
    def is_current(self) -> bool:
        return self.nights_behind == 0


@dataclass(frozen=True)
class WaitingBatch:
    """A batch that no event speaks of: not judged yet, or refused.

    Attributes:
        refusals: the rules that stopped it.
        read_again_by: an admitted batch that has read the same window since, so that nobody needs to decide.
    """

    batch_id: int
    run_id: str
    night: dt.date
    dataset: str
    node_code: str
    kind: str
    raw_rows: int
    refusals: list[str]
    read_again_by: int | None


@dataclass(frozen=True)
class Standing:
    """How things stand by the ledger and the registry alone.

    Attributes:
        newest_night: the newest night that was run, to which ages are counted; None before the first.
    """

    newest_night: dt.date | None
    live: LivePublication | None
    slots: list[SlotStatus]
    provisions: list[ProvisionStatus]
    waiting: list[WaitingBatch]


@dataclass(frozen=True)
class Status(Standing):
    """How things stand.

    Attributes:
        levels: the scorecard of the live publication, worst nodes first.
        past: schemas of past nights (`yingshang build --as-of`).
    """

    nights: list[NightStatus]
    past: list[PastNight]
    levels: list[SourceLevel]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: dates and times are left to the encoder."""
        return asdict(self)


def status(nights: int = 7) -> Status:
    """Read it from the ledger and the registry, in one snapshot, and the scorecard from the live publication.

    Args:
        nights: how many of the newest runs to tell of.

    Raises:
        CredentialError, WarehouseUnavailable: the warehouse does not answer.
    """
    registry = load_registry()
    with session("ingest") as connection:
        connection.execute("set transaction isolation level repeatable read, read only")
        return Status(
            **vars(standing(connection, registry)),
            nights=_all(connection, NightStatus, _NIGHTS, {"limit": nights}),
            past=past_nights(connection),
            levels=published_levels(),
        )


def standing(connection: PgConnection, registry: Registry) -> Standing:
    """How things stand, without the marts. ``connection``: as ``ingest`` or ``publish``."""
    row = connection.execute("select max(night) from ops.night_run").fetchone()
    newest = row[0] if row else None
    return Standing(
        newest_night=newest,
        live=live_publication(connection),
        slots=_all(connection, SlotStatus, _SLOTS, {}),
        provisions=_provisions(connection, registry, newest),
        waiting=waiting_batches(connection),
    )


def live_publication(connection: PgConnection) -> LivePublication | None:
    """What readers see now; None before the first publication."""
    found = _all(connection, LivePublication, _LIVE, {})
    return found[0] if found else None


def waiting_batches(connection: PgConnection, run_id: str | None = None) -> list[WaitingBatch]:
    """The batches that no event speaks of, oldest first; with ``run_id`` those of that run."""
    return _all(connection, WaitingBatch, _WAITING, {"run": run_id})


def _provisions(connection: PgConnection, registry: Registry, newest: dt.date | None) -> list[ProvisionStatus]:
    states = {(one.system, one.dataset, one.node_code): one for one in ledger.provision_states(connection)}
    silent = {tuple(row[:3]): row[3] for row in connection.execute(_SILENT)}
    outcomes = {tuple(row[:3]): tuple(row[3:]) for row in connection.execute(_OUTCOMES)}
    found = []
    for provision in registry.provisions:
        key = (provision.system, provision.dataset, provision.node_code)
        state, node = states.get(key), registry.node(provision.node_code)
        nights = [night for night in (state.last_night if state else None, silent.get(key)) if night]
        last = max(nights, default=None)
        outcome, error, error_type = outcomes.get(key, (None, None, None))
        found.append(
            ProvisionStatus(
                system=provision.system,
                dataset=provision.dataset,
                node_code=provision.node_code,
                node_name=node.name,
                level=node.level,
                connector=provision.connector,
                last_night=last,
                nights_behind=max(0, (newest - last).days) if newest and last else None,
                last_cursor=state.last_cursor if state else None,
                rows=state.rows if state else 0,
                outcome=outcome,
                error=error,
                error_type=error_type,
            )
        )
    return found


def _all(connection: psycopg.Connection[Any], kind: type[T], query: str, parameters: dict[str, Any]) -> list[T]:
    with connection.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(query.encode(), parameters).fetchall()


_LIVE = """
select
    p.publication_id, p.kind, p.night, p.slot, p.build_id, p.to_seq, p.published_at, p.missing_nodes
from ops.live l
join ops.publication p using (publication_id)
"""

_SLOTS = "select slot, state, build_id, night, seq, changed_at, reason from ops.slot order by slot"

_NIGHTS = """
with runs as (
    select * from ops.night_run order by opened_at desc limit %(limit)s
),
provisions as (
    select
        run_id,
        count(*) filter (where outcome = 'loaded') as loaded,
        count(*) filter (where outcome = 'nothing_to_send') as nothing_to_send,
        count(*) filter (where outcome = 'failed') as failed,
        count(*) filter (where outcome = 'not_provided') as not_provided
    from ops.provision_run
    where run_id in (select run_id from runs)
    group by run_id
),
batches as (
    select
        run_id,
        count(*) as batches,
        count(*) filter (where event = 'admitted') as admitted,
        count(*) filter (where event is null) as waiting,
        sum(raw_rows)::bigint as raw_rows,
        sum(quarantined_rows)::bigint as quarantined_rows
    from ops.batch_state
    where run_id in (select run_id from runs)
    group by run_id
),
checks as (
    select
        run_id,
        count(distinct (stage, suite, expectation, batch_id)) filter (where severity = 'stop') as stops,
        count(distinct (stage, suite, expectation, batch_id)) filter (where severity = 'warn') as warnings
    from ops.check_result
    where not is_success and run_id in (select run_id from runs)
    group by run_id
),
publications as (
    select run_id, max(published_at) as published_at
    from ops.publication
    where run_id in (select run_id from runs)
    group by run_id
)
select
    r.run_id, r.night, r.opened_at, r.closed_at, r.is_quorum_met,
    coalesce(p.loaded, 0) as loaded, coalesce(p.nothing_to_send, 0) as nothing_to_send,
    coalesce(p.failed, 0) as failed, coalesce(p.not_provided, 0) as not_provided,
    coalesce(b.batches, 0) as batches, coalesce(b.admitted, 0) as admitted, coalesce(b.waiting, 0) as waiting,
    coalesce(b.raw_rows, 0) as raw_rows, coalesce(b.quarantined_rows, 0) as quarantined_rows,
    coalesce(c.stops, 0) as stops, coalesce(c.warnings, 0) as warnings,
    u.published_at
from runs r
left join provisions p using (run_id)
left join batches b using (run_id)
left join checks c using (run_id)
left join publications u using (run_id)
order by r.opened_at desc
"""

_SILENT = """
select p.system, p.dataset, p.node_code, max(r.night)
from ops.provision_run p
join ops.night_run r using (run_id)
where p.outcome = 'nothing_to_send'
group by p.system, p.dataset, p.node_code
"""

_OUTCOMES = """
select distinct on (p.system, p.dataset, p.node_code) p.system, p.dataset, p.node_code, p.outcome, p.error, p.error_type
from ops.provision_run p
join ops.night_run r using (run_id)
order by p.system, p.dataset, p.node_code, r.opened_at desc
"""

_WAITING = """
select
    b.batch_id, b.run_id, b.night, b.system || '.' || b.dataset as dataset, b.node_code, b.kind, b.raw_rows,
    array(
        select distinct coalesce(c.message, c.suite || ': ' || c.expectation) as refusal
        from ops.check_result c
        where c.batch_id = b.batch_id and c.severity = 'stop' and not c.is_success
        order by refusal
    ) as refusals,
    (
        select min(a.batch_id)
        from ops.batch_state a
        where a.system = b.system and a.dataset = b.dataset and a.node_code = b.node_code and a.batch_id > b.batch_id
            and a.kind <> 'drop' and b.kind <> 'drop' and a.event = 'admitted'
            and coalesce(a.cursor_low, '') <= coalesce(b.cursor_low, '') and a.cursor_high >= b.cursor_high
    ) as read_again_by
from ops.batch b
where not exists (select from ops.batch_event e where e.batch_id = b.batch_id)
    and (%(run)s::text is null or b.run_id = %(run)s)
order by b.batch_id
"""
