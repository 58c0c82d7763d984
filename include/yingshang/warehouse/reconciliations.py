"""Comparisons of provisions with their sources, as the ledger keeps them (``ops.reconciliation``).

Every function takes a connection and leaves the commit to its caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from typing import Any, Literal

from psycopg.rows import class_row

from yingshang.errors import UsageError
from yingshang.warehouse.connections import PgConnection

Method = Literal["digests", "full", "drops"]
Outcome = Literal["same", "repaired", "blocked"]
DifferenceKind = Literal["lost", "changed", "deleted", "rejected"]


@dataclass(frozen=True, kw_only=True)
class Reconciliation:
    """One comparison.

    Attributes:
        reconciliation_id, finished_at: None before it is written.
        night: newest admitted night of the provision; the repair belongs to it.
        method: ``digests`` by bucket; ``full``: every row was read; ``drops``: every drop that still lies there.
        compared_to: rows with a cursor up to this were compared, 14 digits; None: all.
        source_rows: live rows there that were compared; ``pending_rows`` of the others belong to the next night.
        warehouse_rows: live rows here; ``unverified_rows`` of them nothing at the source speaks of any more.
        lost_rows, changed_rows, deleted_rows: keys that are not here, otherwise here, not there any more.
        rejected_rows: of the rows that differ, those that break the contract: they are left.
        bytes_moved: from the source; ``bytes_full``: what a full re-read of the compared columns would have moved.
        notes: what a person has to know, in words.
        batch_id: the repair. ``accepts``: the blocked comparison whose deletions a person accepts, with ``reason``.
    """

    reconciliation_id: int | None = None
    run_id: str
    night: date
    system: str
    dataset: str
    node_code: str
    method: Method
    outcome: Outcome
    compared_to: str | None
    contract_version: str
    source_rows: int
    warehouse_rows: int
    pending_rows: int
    unverified_rows: int
    lost_rows: int
    changed_rows: int
    deleted_rows: int
    rejected_rows: int
    bytes_moved: int
    bytes_full: int
    notes: list[str]
    batch_id: int | None = None
    accepts: int | None = None
    actor: str = "reconcile"
    reason: str | None = None
    started_at: datetime
    finished_at: datetime | None = None

    @property
    def differences(self) -> int:
        """Rows that are to be repaired."""
        return self.lost_rows + self.changed_rows + self.deleted_rows

    @property
    def name(self) -> str:
        """``trading.lot of node 210100``"""
        return f"{self.system}.{self.dataset} of node {self.node_code}"


_NAMES = [one.name for one in fields(Reconciliation)]


def insert_reconciliation(connection: PgConnection, one: Reconciliation) -> Reconciliation:
    """Write a comparison; gives it back with its id."""
    names = [name for name in _NAMES if name not in ("reconciliation_id", "finished_at")]
    row = connection.execute(
        f"insert into ops.reconciliation ({', '.join(names)}) values ({', '.join(['%s'] * len(names))})"  # noqa: S608
        " returning reconciliation_id, finished_at",
        [getattr(one, name) for name in names],
    ).fetchone()
    assert row is not None  # noqa: S101 - insert returning
    return replace(one, reconciliation_id=int(row[0]), finished_at=row[1])


def reconciliations_of_run(
    connection: PgConnection, run_id: str, *, system: str | None = None, node_code: str | None = None
) -> list[Reconciliation]:
    """Comparisons of a run (of one system, of one node), in order."""
    return _found(
        connection,
        "run_id = %s and (%s::text is null or system = %s) and (%s::text is null or node_code = %s)",
        (run_id, system, system, node_code, node_code),
    )


def reconciliation(connection: PgConnection, reconciliation_id: int) -> Reconciliation:
    """The comparison of this id. Raises UsageError."""
    found = _found(connection, "reconciliation_id = %s", (reconciliation_id,))
    if not found:
        raise UsageError(f"no comparison {reconciliation_id}: `yingshang reconcile --list` shows the blocked ones")
    return found[0]


def blocked_reconciliations(connection: PgConnection) -> list[Reconciliation]:
    """Provisions whose newest comparison waits for a person's word, by id."""
    return _found(
        connection,
        "outcome = 'blocked' and not exists (select from ops.reconciliation l where (l.system, l.dataset, l.node_code)"
        " = (r.system, r.dataset, r.node_code) and l.reconciliation_id > r.reconciliation_id)",
        (),
    )


def _found(connection: PgConnection, condition: str, parameters: Sequence[Any]) -> list[Reconciliation]:
    with connection.cursor(row_factory=class_row(Reconciliation)) as cursor:
        return cursor.execute(
            f"select {', '.join(_NAMES)} from ops.reconciliation r where {condition} order by reconciliation_id",  # noqa: S608
            parameters,
        ).fetchall()
