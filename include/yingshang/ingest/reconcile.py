"""What the windows cannot see: rows that came too late, changed without their cursor, or are gone. Found and repaired.

A provision's visible rows are compared with what its source has now; only what the next night would not read anyway
counts. Each provision that differs gets one batch of kind ``reconcile``, which the landing gate judges like any other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from yingshang.errors import TerminalError, UsageError, YingshangError
from yingshang.ingest.night import SHANGHAI
from yingshang.ingest.node import at_source, named_failure, only_one, worst_of
from yingshang.settings import settings
from yingshang.warehouse.reconciliations import Reconciliation

if TYPE_CHECKING:
    from yingshang.connectors.files import FilesSource
    from yingshang.connectors.http import HttpSource
    from yingshang.connectors.postgres import PostgresSource
    from yingshang.contracts import Contract
    from yingshang.contracts.registry import Node, Provision
    from yingshang.ingest.load import WarehouseSession
    from yingshang.ingest.reconcile_compare import Comparison
    from yingshang.ingest.reconcile_observe import Observed
    from yingshang.secrets import Keys
    from yingshang.warehouse import PgConnection

Progress = Callable[[str], None]
"""Called with the dataset whose comparison begins."""


class MassDelete(TerminalError):
    """More rows are gone at a source than is believed without asking a person."""


@dataclass(frozen=True)
class Acceptance:
    """A person's word on the deletions of a blocked comparison. ``most``: how many rows it covers."""

    reconciliation_id: int
    most: int
    reason: str
    actor: str


@dataclass(frozen=True)
class NodeComparison:
    """What came of one node.

    Attributes:
        compared: a record for each provision that could be compared.
        unread: datasets of which nothing is visible yet: their first night brings them.
    """

    system: str
    node_code: str
    run_id: str
    compared: tuple[Reconciliation, ...]
    unread: tuple[str, ...]

    @property
    def blocked(self) -> tuple[Reconciliation, ...]:
        return tuple(one for one in self.compared if one.outcome == "blocked")

    @property
    def runs(self) -> tuple[str, ...]:
        """The ledger's runs with repairs, for the landing gate to judge."""
        from yingshang.ingest.reconcile_repair import repair_run

        return tuple(dict.fromkeys(repair_run(one.run_id, one.night) for one in self.compared if one.batch_id))


def reconcile_node(
    system: str,
    node_code: str,
    run_id: str,
    *,
    datasets: Collection[str] = (),
    dry_run: bool = False,
    accept: Acceptance | None = None,
    on_progress: Progress | None = None,
) -> NodeComparison:
    """Compare all that a node provides of a system, out of one snapshot where the source has such, and repair it.

    What this run has compared already is not compared again, and a failing dataset does not stop the others.

    Args:
        run_id: of this reconciliation; the repairs' runs are named after it.
        datasets: only these; empty: all.
        dry_run: write nothing, neither rows nor what was found.
        accept: what a person has said of deletions that were blocked.

    Raises:
        UsageError: the node provides nothing of this.
        NodeBusy: it is being ingested.
        TerminalError, TransientError: datasets failed; those that did not are repaired.
    """
    from yingshang import secrets
    from yingshang.contracts import load_contracts
    from yingshang.contracts.registry import load_registry
    from yingshang.ingest.load import WarehouseSession
    from yingshang.warehouse import session

    registry = load_registry()
    every = registry.provisions_of(system, node_code, night=_today())
    provisions = [one for one in every if not datasets or one.dataset in datasets]
    if not provisions:
        of = f" ({', '.join(sorted(datasets))})" if datasets else ""
        raise UsageError(
            f"node {node_code} ({registry.node(node_code).name}) provides nothing of {system}{of}:"
            " see include/registry/provisions.csv"
        )
    contracts = load_contracts()
    warehouse = WarehouseSession()
    with (
        session("ingest", autocommit=True, application_name=f"yingshang_reconcile {system} {node_code}") as connection,
        only_one(connection, system, node_code),
    ):
        node = _Node(connection, warehouse, secrets.keys(), system, node_code, run_id, dry_run, accept, on_progress)
        try:
            node.compare([(one, contracts[one.name]) for one in provisions])
        finally:
            warehouse.close()
    if node.failures:
        raise worst_of(node.failures, came=[one.dataset for one in node.compared])
    return NodeComparison(system, node_code, run_id, tuple(node.compared), tuple(node.unread))


def nodes_to_compare(system: str, nodes: Collection[str] = (), datasets: Collection[str] = ()) -> list[Node]:
    """The nodes of a system that provide any of this, by code; all where nothing is named.

    Raises:
        UsageError: none does, or a dataset is unknown.
        RegistryError: unknown system or node.
    """
    from yingshang.contracts.registry import load_registry

    registry = load_registry()
    every = registry.provisions_of(system, night=_today())
    unknown = sorted(set(datasets) - {one.dataset for one in every})
    if unknown:
        there = ", ".join(sorted({one.dataset for one in every}))
        raise UsageError(f"{system} has no dataset {', '.join(unknown)}; it has {there}")
    asked = {registry.node(code).node_code for code in nodes}
    codes = sorted(
        {
            one.node_code
            for one in every
            if (not datasets or one.dataset in datasets) and (not asked or one.node_code in asked)
        }
    )
    if not codes:
        raise UsageError(f"none of these nodes provides any of this of {system}: see include/registry/provisions.csv")
    return [registry.node(code) for code in codes]


class _Node:
    """One call of :func:`reconcile_node`."""

    def __init__(
        self,
        connection: PgConnection,
        warehouse: WarehouseSession,
        keys: Keys,
        system: str,
        node_code: str,
        run_id: str,
        dry_run: bool,
        accept: Acceptance | None,
        on_progress: Progress | None,
    ) -> None:
        self._connection, self._warehouse, self._keys = connection, warehouse, keys
        self._system, self._node_code, self._run_id = system, node_code, run_id
        self._dry_run, self._accept = dry_run, accept
        self._on_progress = on_progress or (lambda dataset: None)
        self.compared: list[Reconciliation] = []
        self.unread: list[str] = []
        self.failures: list[YingshangError] = []
        self._attempted: set[str] = set()

    def compare(self, provisions: Sequence[tuple[Provision, Contract]]) -> None:
        """All provisions that this run has not compared yet."""
        from yingshang.warehouse.reconciliations import reconciliations_of_run

        of_run = reconciliations_of_run(self._connection, self._run_id, system=self._system, node_code=self._node_code)
        self.compared += of_run
        done = {one.dataset for one in of_run}
        waiting = [(one, contract) for one, contract in provisions if one.dataset not in done]
        try:
            at_source(waiting, self._attempt, self._drops, self._window)
        except YingshangError as error:
            self.failures += [
                named_failure(error, self._named(one.dataset))
                for one, _ in waiting
                if one.dataset not in self._attempted
            ]

    def _named(self, dataset: str) -> str:
        return f"{self._system}.{dataset} of node {self._node_code}, reconciliation"

    def _attempt(self, provision: Provision, step: Callable[[], Reconciliation | None]) -> None:
        self._attempted.add(provision.dataset)
        self._on_progress(provision.dataset)
        try:
            record = step()
        except Exception as error:  # noqa: BLE001 - kept here, raised at the end
            self.failures.append(named_failure(error, self._named(provision.dataset)))
            return
        if record is None:
            self.unread.append(provision.dataset)
        else:
            self.compared.append(record)

    def _window(self, source: PostgresSource | HttpSource, contract: Contract) -> Reconciliation | None:
        from yingshang.connectors.base import clock_plus
        from yingshang.connectors.postgres import PostgresSource
        from yingshang.ingest.checks import RowChecks
        from yingshang.ingest.reconcile_compare import Comparison
        from yingshang.ingest.reconcile_observe import Spool, observe_digests, observe_full
        from yingshang.warehouse import ledger

        started = datetime.now(UTC)
        reached = ledger.last_admitted_window(self._connection, self._system, contract.dataset, self._node_code)
        if reached is None:
            return None
        as_of = clock_plus(reached.cursor_high, -contract.overlap)
        comparison = Comparison(self._connection, contract, self._node_code)
        ring = self._keys.hmac
        if isinstance(source, PostgresSource):
            checks = RowChecks(contract, self._node_code, source.clock, is_text=False)
            observed = observe_digests(comparison, source, contract, checks, ring, as_of)
            return self._judge(comparison, observed, contract, as_of, started)
        with contextlib.closing(Spool()) as spool:
            observed = observe_full(comparison, source, contract, self._node_code, ring, as_of, spool)
            return self._judge(comparison, observed, contract, as_of, started)

    def _drops(self, folder: FilesSource, contract: Contract) -> Reconciliation | None:
        from yingshang.ingest.reconcile_compare import Comparison
        from yingshang.ingest.reconcile_observe import Spool, observe_drops

        started = datetime.now(UTC)
        comparison = Comparison(self._connection, contract, self._node_code)
        if not comparison.admitted_drops():
            return None
        with contextlib.closing(Spool()) as spool:
            observed = observe_drops(comparison, folder, contract, self._node_code, self._keys.hmac, spool)
            return self._judge(comparison, observed, contract, None, started)

    def _judge(
        self, comparison: Comparison, observed: Observed, contract: Contract, as_of: str | None, started: datetime
    ) -> Reconciliation:
        """Repair what differs; not if more is gone than is believed without asking."""
        from yingshang.ingest.reconcile_repair import Reading, counted, repair, write

        night = comparison.newest_night()
        assert night is not None  # noqa: S101 - something is visible
        accept = self._accept
        record = Reconciliation(
            run_id=self._run_id,
            night=night,
            system=contract.system,
            dataset=contract.dataset,
            node_code=self._node_code,
            method=observed.method,
            outcome="same",
            compared_to=as_of,
            contract_version=contract.version,
            source_rows=observed.source_rows,
            warehouse_rows=comparison.rows_here(),
            pending_rows=observed.pending_rows,
            unverified_rows=observed.unverified_rows,
            lost_rows=0,
            changed_rows=0,
            deleted_rows=0,
            rejected_rows=0,
            bytes_moved=observed.bytes_moved,
            bytes_full=observed.bytes_full,
            notes=list(observed.notes),
            accepts=accept.reconciliation_id if accept else None,
            reason=accept.reason if accept else None,
            actor=accept.actor if accept else "reconcile",
            started_at=started,
        )
        record = counted(record, comparison, observed)
        if is_mass_delete(record.deleted_rows, record.warehouse_rows, accepted=accept.most if accept else 0):
            record = replace(record, outcome="blocked")
            if self._dry_run:
                return record
            with self._connection.transaction():
                return write(self._connection, record, comparison.differences())
        reading = Reading(comparison, observed, contract)
        if not self._dry_run:
            return repair(self._connection, self._warehouse, comparison, reading, record, observed.clock)
        for _ in reading.rows():
            pass
        comparison.settle(reading.verdicts.values())
        return counted(record, comparison, observed)


def is_mass_delete(deleted: int, known: int, *, accepted: int = 0) -> bool:
    """Whether so many of the known rows are gone that a person has to be asked: past the limits, or all of several.

    ``accepted``: so many were accepted; a few more may have gone since.
    """
    limit = settings()
    if deleted == known > max(1, accepted):
        return True
    return deleted > max(
        limit.mass_delete_rows, limit.mass_delete_share * known, accepted * (1 + limit.mass_delete_share)
    )


def mass_delete(blocked: Sequence[Reconciliation]) -> MassDelete:
    """The error that says what was blocked and how to answer."""
    return MassDelete("\n".join(question(one) for one in blocked))


def question(one: Reconciliation) -> str:
    """What a person is asked about a blocked comparison. One of a dry run has no number yet to answer to."""
    gone = f"{one.name}: {one.deleted_rows} of {one.warehouse_rows} rows are gone at the source"
    if one.reconciliation_id is None:
        return f"{gone}: a run would change nothing of it and ask you"
    return (
        f"{gone}; nothing was changed. Ask the node; if they are to be closed: yingshang reconcile --accept-deletes"
        f" {one.reconciliation_id} --reason ..."
    )


def acceptance(reconciliation_id: int, *, reason: str, actor: str | None = None) -> tuple[Reconciliation, Acceptance]:
    """A person's word on a blocked comparison, and the comparison.

    Raises:
        UsageError: there is none, it is not blocked, or the provision was compared again since.
    """
    import getpass

    from yingshang.warehouse import session
    from yingshang.warehouse.reconciliations import blocked_reconciliations, reconciliation

    if not reason.strip():
        raise UsageError("accepting deletions needs a reason: it is kept with the comparison")
    with session("ingest") as connection:
        one = reconciliation(connection, reconciliation_id)
        waiting = {each.reconciliation_id for each in blocked_reconciliations(connection)}
    if reconciliation_id not in waiting:
        why = f"its outcome is {one.outcome}" if one.outcome != "blocked" else "it was compared again since"
        raise UsageError(f"comparison {reconciliation_id} ({one.name}) does not wait for a word: {why}")
    return one, Acceptance(reconciliation_id, one.deleted_rows, reason, actor or getpass.getuser())


def unjudged_runs(run_id: str) -> list[str]:
    """The ledger's runs of a reconciliation with repairs that the landing gate has not judged yet."""
    from yingshang.warehouse import ledger, session

    with session("ingest") as connection:
        waiting = ledger.unjudged_batches(connection)
    return sorted({one.run_id for one in waiting if one.kind == "reconcile" and one.run_id.startswith(f"{run_id}:")})


def _today() -> date:
    """The date in Shanghai: what is due today is compared."""
    return datetime.now(SHANGHAI).date()
