"""A person's word on one batch, against the landing gate or after it."""

import getpass
from dataclasses import dataclass
from typing import Any, Literal

import psycopg

from yingshang.errors import UsageError
from yingshang.warehouse import ledger, session

GATE_LOCK = 4207010
"""Advisory transaction lock: one gate or override decides at a time."""

Decision = Literal["accept", "reject"]


@dataclass(frozen=True)
class Override:
    """What became of the batch.

    ``superseded``: what an accepted batch takes the place of: the drops of the same period, what a replacement has read
    again, and what was replayed of these. ``hint``: what else a person may want to do.
    """

    batch_id: int
    dataset: str
    node_code: str
    event: ledger.EventKind
    superseded: tuple[int, ...]
    hint: str | None


def lock_gate(connection: psycopg.Connection[Any]) -> None:
    """Wait for other gates and overrides; held until the transaction ends."""
    connection.execute("select pg_advisory_xact_lock(%s)", (GATE_LOCK,))


def override(batch_id: int, decision: Decision, *, reason: str, actor: str | None = None) -> Override:
    """Accept a batch in spite of the landing gate, or withdraw one. The next build takes it in.

    Args:
        decision: ``accept`` writes ``admitted``, and ``superseded`` for an admitted drop of the same period, whatever
            the revisions: the person's word counts. ``reject`` writes ``withdrawn``, also for what was replayed of the
            batch. Either holds for the same file where later nights have read it again.
        reason: why; kept with the event.
        actor: who; the operating system's user when None.

    Raises:
        UsageError: no such batch, no reason, or the batch is already what the decision would make it.
    """
    if not reason.strip():
        raise UsageError("an override needs a reason: it is kept with the event")
    who = actor or getpass.getuser()
    event: ledger.EventKind = "admitted" if decision == "accept" else "withdrawn"
    with session("ingest") as connection:
        lock_gate(connection)
        batch = ledger.batch(connection, batch_id)
        dataset = f"{batch.system}.{batch.dataset}"
        if batch.event == event:
            raise UsageError(f"batch {batch_id} ({dataset} of {batch.node_code}) is already {event}")
        rivals = _drops_of_period(connection, batch)
        superseded: list[int] = []
        decided = [batch_id]
        hint = None
        if decision == "accept":
            superseded = [one.batch_id for one in rivals if one.event == "admitted" or one.is_same_file]
            superseded += ledger.replaced_by(connection, [batch_id])
            superseded += ledger.replays_of(connection, superseded)
        else:
            decided += [one.batch_id for one in rivals if one.is_same_file]
            decided += ledger.replays_of(connection, decided)
            hidden = [one.batch_id for one in rivals if one.event == "superseded"]
            if batch.event == "admitted" and hidden:
                newest = hidden[-1]
                hint = f"batch {newest} of the same period is superseded: `yingshang gate accept {newest}` shows it"
        ledger.record_events(
            connection, superseded, "superseded", reason=f"batch {batch_id} was accepted: {reason}", actor=who
        )
        ledger.record_events(connection, decided, event, reason=reason, actor=who)
    return Override(batch_id, dataset, batch.node_code, event, tuple(superseded), hint)


@dataclass(frozen=True)
class _Rival:
    """Another drop of the same node, dataset and period. ``is_same_file``: the same file, read again and not judged."""

    batch_id: int
    event: str | None
    is_same_file: bool


def _drops_of_period(connection: psycopg.Connection[Any], batch: ledger.Batch) -> list[_Rival]:
    if batch.kind != "drop":
        return []
    rows = connection.execute(
        """
        select batch_id, event, event is null and drop_sha256 = %s
        from ops.batch_state
        where kind = 'drop' and system = %s and dataset = %s and node_code = %s and drop_period = %s and batch_id <> %s
        order by batch_id
        """,
        (batch.drop_sha256, batch.system, batch.dataset, batch.node_code, batch.drop_period, batch.batch_id),
    )
    return [_Rival(*row) for row in rows]
