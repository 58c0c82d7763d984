"""All that one node provides of one system, read in one go."""

from __future__ import annotations

import contextlib
import errno
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

from yingshang.errors import (
    ContractError,
    ManifestError,
    RejectLimitExceeded,
    SourceInconsistent,
    TerminalError,
    TransientError,
    UsageError,
    WarehouseUnavailable,
    YingshangError,
)
from yingshang.settings import settings

if TYPE_CHECKING:
    from yingshang.connectors.base import Delivery, WindowSource
    from yingshang.connectors.files import FilesSource
    from yingshang.connectors.http import HttpSource
    from yingshang.connectors.postgres import PostgresSource
    from yingshang.contracts import Contract
    from yingshang.contracts.registry import Provision
    from yingshang.ingest.batch import BatchJob
    from yingshang.secrets import Keys
    from yingshang.warehouse import PgConnection
    from yingshang.warehouse.ledger import Batch, NewBatch, Outcome

T = TypeVar("T")

LOCK_CLASS = 4207002
LOCK_SECONDS = 30.0

Progress = Callable[[str, int], None]
"""Called with a dataset and the number of rows just read."""


@dataclass(frozen=True)
class DatasetReport:
    """What came of one provision. Rows are those of this call; ``is_repeat``: an earlier attempt had loaded it."""

    dataset: str
    outcome: Literal["loaded", "nothing_to_send", "failed"]
    batch_ids: tuple[int, ...] = ()
    source_rows: int = 0
    raw_rows: int = 0
    quarantined_rows: int = 0
    duplicate_rows: int = 0
    is_repeat: bool = False
    error_type: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Again:
    """How a night is read again on purpose.

    ``datasets``: only these; None: all that the node provides. ``is_replacement``: what is read takes the place of what
    the same provisions delivered for the night before, once it is admitted.
    """

    datasets: frozenset[str] | None = None
    is_replacement: bool = False


@dataclass(frozen=True)
class NodeReport:
    """What came of one node."""

    system: str
    node_code: str
    run_id: str
    night: date
    datasets: tuple[DatasetReport, ...]

    @property
    def source_rows(self) -> int:
        return sum(one.source_rows for one in self.datasets)

    @property
    def raw_rows(self) -> int:
        return sum(one.raw_rows for one in self.datasets)


def ingest_node(
    system: str,
    node_code: str,
    run_id: str,
    *,
    again: Again | None = None,
    on_progress: Progress | None = None,
    until: Callable[[datetime | None], AbstractContextManager[None]] = lambda cut_off_at: contextlib.nullcontext(),
) -> NodeReport:
    """Read, check, land and load everything that a node provides of a system in the night of a run.

    A failing dataset does not stop the others. What this run has loaded already is not read again.

    Args:
        again: read the night again, also the drops that earlier runs have taken in for it.
        until: what all reading happens within, given the night's cut-off (None: it has none).

    Raises:
        UsageError: there is no such run, or the node provides nothing of the system.
        RegistryError: unknown system or node.
        TerminalError, TransientError: datasets failed; the error is terminal only if all that failed are. What came
            of each stands in ``ops.provision_run``.
    """
    from yingshang import secrets
    from yingshang.contracts import load_contracts
    from yingshang.contracts.registry import load_registry
    from yingshang.warehouse import ledger, session

    registry = load_registry()
    with session("ingest", autocommit=True, application_name=f"yingshang_ingest {system} {node_code}") as connection:
        run = ledger.night_run(connection, run_id)
        if run is None:
            raise UsageError(f"no run {run_id!r} in the ledger: open its night first")
        provisions = registry.provisions_of(system, node_code, night=run.night)
        if again is not None and again.datasets is not None:
            provisions = tuple(one for one in provisions if one.dataset in again.datasets)
        if not provisions:
            asked = f" ({', '.join(sorted(again.datasets))})" if again and again.datasets else ""
            raise UsageError(
                f"node {node_code} ({registry.node(node_code).name}) provides nothing of {system}{asked} in the night"
                f" {run.night}: see include/registry/provisions.csv"
            )
        contracts = load_contracts()
        with until(run.cut_off_at), only_one(connection, system, node_code):
            node = _Node(
                connection,
                secrets.keys(),
                system,
                node_code,
                run_id,
                run.night,
                run.cut_off_at,
                on_progress or (lambda dataset, rows: None),
                again,
            )
            try:
                reports = node.ingest([(one, contracts[one.name]) for one in provisions])
            finally:
                node.close()
    report = NodeReport(system, node_code, run_id, run.night, tuple(reports))
    if node.failures:
        raise _worst(report, node.failures)
    return report


@dataclass(frozen=True)
class _Failure:
    dataset: str
    error: YingshangError


class _Node:
    """One call of :func:`ingest_node`."""

    def __init__(
        self,
        connection: PgConnection,
        keys: Keys,
        system: str,
        node_code: str,
        run_id: str,
        night: date,
        cut_off_at: datetime | None,
        on_progress: Progress,
        again: Again | None,
    ) -> None:
        from yingshang.ingest.load import WarehouseSession

        self._again = again
        self._connection, self._keys, self._cut_off_at = connection, keys, cut_off_at
        self._system, self._node_code, self._run_id, self._night = system, node_code, run_id, night
        self._on_progress = on_progress
        self._warehouse = WarehouseSession()
        self.failures: list[_Failure] = []

    def close(self) -> None:
        """End the connection that loads."""
        self._warehouse.close()

    def ingest(self, provisions: Sequence[tuple[Provision, Contract]]) -> list[DatasetReport]:
        """All provisions. The order of the reports is that of the registry."""
        reports: dict[str, DatasetReport] = {}

        def attempt(one: Provision, step: Callable[[], list[NewBatch]]) -> None:
            reports[one.dataset] = self._attempt(one, step)

        waiting = [
            (one, contract)
            for one, contract in provisions
            if one.connector == "files" or not self._repeat(one, reports)
        ]
        try:
            at_source(waiting, attempt, self._drops, self._window)
        except YingshangError as error:
            for one, _ in waiting:
                if one.dataset not in reports:
                    reports[one.dataset] = self._failed(one.dataset, error, datetime.now(UTC))
        return [reports[one.dataset] for one, _ in provisions]

    def _repeat(self, provision: Provision, reports: dict[str, DatasetReport]) -> bool:
        """Whether an earlier attempt of this run has loaded the provision; then its report is made from the ledger."""
        found = [one for one in self._batches_of_run(provision.dataset) if one.kind in ("window", "reload")]
        if not found:
            return False
        outcome: Literal["loaded", "nothing_to_send"] = "loaded" if found[0].source_rows else "nothing_to_send"
        self._record(provision.dataset, outcome)
        reports[provision.dataset] = DatasetReport(provision.dataset, outcome, (found[0].batch_id,), is_repeat=True)
        return True

    def _batches_of_run(self, dataset: str) -> list[Batch]:
        from yingshang.warehouse import ledger

        of_node = ledger.batches_of_run(self._connection, self._run_id, system=self._system, node_code=self._node_code)
        return [batch for batch in of_node if batch.dataset == dataset]

    def _attempt(self, provision: Provision, step: Callable[[], list[NewBatch]]) -> DatasetReport:
        """One provision: what it raises is recorded and kept for the end, so that the others go on."""
        from yingshang.warehouse.ledger import AlreadyLoaded

        started = datetime.now(UTC)
        dataset = provision.dataset
        if self._cut_off_at is not None and started >= self._cut_off_at:
            passed = CutOffPassed("the night's cut-off has passed; the next night reads it")
            return self._failed(dataset, passed, started)
        try:
            batches = step()
        except AlreadyLoaded:
            self._record(dataset, "loaded", started_at=started)
            return DatasetReport(dataset, "loaded", is_repeat=True)
        except Exception as error:  # noqa: BLE001 - recorded here, raised at the end
            return self._failed(dataset, error, started)
        earlier = [] if batches else self._batches_of_run(dataset)
        is_loaded = any(batch.source_rows for batch in (*batches, *earlier))
        outcome: Literal["loaded", "nothing_to_send"] = "loaded" if is_loaded else "nothing_to_send"
        self._record(dataset, outcome, started_at=started)
        return DatasetReport(
            dataset,
            outcome,
            tuple(batch.batch_id for batch in batches),
            source_rows=sum(batch.source_rows for batch in batches),
            raw_rows=sum(batch.raw_rows for batch in batches),
            quarantined_rows=sum(batch.quarantined_rows for batch in batches),
            duplicate_rows=sum(batch.duplicate_rows for batch in batches),
        )

    def _window(self, source: WindowSource, contract: Contract) -> list[NewBatch]:
        from yingshang.connectors.base import Request
        from yingshang.ingest.batch import BatchJob
        from yingshang.ingest.windows import next_window
        from yingshang.warehouse import ledger

        of = (self._system, contract.dataset, self._node_code)
        window = next_window(
            self._night,
            reached=ledger.last_admitted_window(self._connection, *of),
            recorded=ledger.windows_of_night(self._connection, *of, self._night),
            overlap=contract.overlap,
        )
        request = Request(
            table=contract.table,
            columns=contract.column_names,
            primary_key=contract.primary_key,
            cursor=contract.cursor,
            low=window.low,
            high=window.high,
            with_null_cursor=window.kind == "window",
        )
        with source.read(request) as delivery:
            clock = source.clock
            job = BatchJob(
                contract=contract,
                node_code=self._node_code,
                night=self._night,
                run_id=self._run_id,
                kind=window.kind,
                clock=clock,
                is_text=_is_text(delivery),
                low=window.low,
                end=lambda newest: window.end(newest, clock),
                is_replacement=self._again is not None and self._again.is_replacement,
            )
            return [self._load(delivery, job)]

    def _drops(self, folder: FilesSource, contract: Contract) -> list[NewBatch]:
        """Every drop of the night or before that is not loaded; what is wrong is raised after all good ones are in.

        A night that later ones have followed takes only what had come by its own cut-off, by the source's clock: what
        came since belongs to the nights in which it came, as with windows.
        """
        from yingshang.connectors.base import Request
        from yingshang.ingest.batch import BatchJob
        from yingshang.warehouse import ledger
        from yingshang.warehouse.ledger import AlreadyLoaded

        outbox = folder.outbox(contract.table)
        of = (self._system, contract.dataset, self._node_code)
        known = ledger.loaded_drops(self._connection, *of, run_id=self._run_id)
        wanted: set[tuple[str, str]] = set()
        if self._again is not None:
            wanted = ledger.drops_to_read_again(self._connection, *of, self._night, run_id=self._run_id)
            known -= wanted
        request = Request(contract.table, contract.column_names, contract.primary_key, contract.cursor)
        batches: list[NewBatch] = []
        errors: list[YingshangError] = []
        is_past = ledger.has_later_night(self._connection, *of, self._night)
        cut_off = datetime.combine(self._night + timedelta(days=1), time(settings().cut_off_hour))
        for drop in outbox.drops:
            if drop.identity in known or drop.period > f"{self._night:%Y%m%d}":
                continue
            if is_past and drop.created > f"{cut_off:%Y%m%d%H%M%S}" and drop.identity not in wanted:
                continue
            known.add(drop.identity)
            job = BatchJob(
                contract=contract,
                node_code=self._node_code,
                night=self._night,
                run_id=self._run_id,
                kind="drop",
                clock=drop.created,
                is_text=True,
                low=None,
                end=partial(_capped, clock=drop.created),
                drop=(drop.period, drop.revision, drop.sha256),
            )
            reading = folder.read(
                drop, request, delete_column=contract.delete_column, delete_value=contract.delete_values[0]
            )
            try:
                with reading as delivery:
                    batches.append(self._load(delivery, job))
            except AlreadyLoaded:
                continue
            except (SourceInconsistent, ContractError, RejectLimitExceeded) as error:
                errors.append(_named(error, job.named))
        gone = sorted({period for period, _ in wanted} - {drop.period for drop in outbox.drops})
        if gone:
            errors.append(
                ManifestError(
                    f"{contract.name} of node {self._node_code}, night {self._night}: the drops of {', '.join(gone)} no"
                    " longer lie there and were not read again: what was loaded of them stays; ask the node to put them"
                    " back"
                )
            )
        if outbox.problems:
            errors.append(
                ManifestError(
                    f"{contract.name} of node {self._node_code}, night {self._night}: {'; '.join(outbox.problems)}. "
                    "Complete drops were taken in; ask the node to complete or to remove these files"
                )
            )
        if errors:
            raise _joined(errors)
        return batches

    def _load(self, delivery: Delivery, job: BatchJob) -> NewBatch:
        from yingshang.ingest.batch import load_batch

        on_rows = partial(self._on_progress, job.contract.dataset)
        return load_batch(delivery, job, self._keys, self._connection, self._warehouse, on_rows)

    def _failed(self, dataset: str, error: Exception, started: datetime) -> DatasetReport:
        named = f"{self._system}.{dataset} of node {self._node_code}, night {self._night}"
        shown = named_failure(error, named)
        self.failures.append(_Failure(dataset, shown))
        self._record(dataset, "failed", error=shown, started_at=started)
        return DatasetReport(dataset, "failed", error_type=type(shown).__name__, error=str(shown))

    def _record(
        self, dataset: str, outcome: Outcome, *, error: Exception | None = None, started_at: datetime | None = None
    ) -> None:
        from yingshang.warehouse import ledger

        ledger.record_provision(
            self._connection,
            self._run_id,
            self._system,
            dataset,
            self._node_code,
            outcome,
            error=error,
            started_at=started_at,
        )


def named_failure(error: Exception, named: str) -> YingshangError:
    """The error with what it happened to in its message; one that nobody has foreseen, without its own words."""
    return _named(error, named) if isinstance(error, YingshangError) else _unexpected(error, named)


def worst_of(errors: Sequence[YingshangError], *, came: Sequence[str] = ()) -> YingshangError:
    """One error for several, which names the datasets that came."""
    worst = _joined(errors)
    rest = f" (came: {', '.join(came)})" if came else ""
    return type(worst)(f"{worst}{rest}")


class UnexpectedError(TerminalError):
    """An error that nobody has foreseen: a fault of this program. Its own message may hold data and is not shown."""


class DiskFull(TransientError):
    """This machine has no space for temporary files."""


def _unexpected(error: Exception, named: str) -> YingshangError:
    """Where an unforeseen error arose, without its message: it might quote a row."""
    import psycopg

    from yingshang.connectors.adbc import safe_message

    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return WarehouseUnavailable(f"{named}: the warehouse broke off: {safe_message(error)}")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DiskFull(
            f"{named}: no space is left in {tempfile.gettempdir()}, where rows are kept while they are read"
        )
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "yingshang" in frame.filename]
    where = f" in {frames[-1].filename.rsplit('yingshang/', 1)[-1]}:{frames[-1].lineno}" if frames else ""
    said = f" ({error})" if isinstance(error, NameError | ImportError | AttributeError) else ""
    return UnexpectedError(f"{named}: {type(error).__name__}{said}{where}: this is a fault of the program")


def _named(error: YingshangError, named: str) -> YingshangError:
    """The error with node, dataset and night in its message."""
    dataset = named.split(" ", 1)[0]
    return error if str(error).startswith(dataset) else type(error)(f"{named}: {error}")


def _joined(errors: Sequence[YingshangError]) -> YingshangError:
    """One error for several: transient if any is, since another try is worth it then."""
    worst = next((error for error in errors if isinstance(error, TransientError)), errors[0])
    if len(errors) == 1:
        return worst
    return type(worst)(" | ".join(str(error) for error in errors))


def _worst(report: NodeReport, failures: Sequence[_Failure]) -> YingshangError:
    came = [one.dataset for one in report.datasets if one.outcome != "failed"]
    return worst_of([failure.error for failure in failures], came=came)


def _capped(newest: str | None, *, clock: str) -> str | None:
    return newest and min(newest, clock)


def _is_text(delivery: Delivery) -> bool:
    """Whether a delivery was text of the source's own making, where unreadable bytes can occur."""
    return "json" in delivery.columns.values()


def at_source(
    provisions: Sequence[tuple[Provision, Contract]],
    attempt: Callable[[Provision, Callable[[], T]], object],
    drops: Callable[[FilesSource, Contract], T],
    window: Callable[[PostgresSource | HttpSource, Contract], T],
) -> None:
    """Attempt provisions of one node and system, over one connection: ``drops`` of a folder, or a ``window``.

    The registry gives a node one connector for a system. Nothing is connected to when there is nothing to attempt.

    Raises:
        YingshangError: of the connection; what a step raises is for ``attempt`` to keep.
    """
    from yingshang import secrets

    if not provisions:
        return
    first = provisions[0][0]
    connection = secrets.connection(first.conn_id)
    match first.connector:
        case "files":
            from yingshang.connectors.files import FilesSource

            with FilesSource(connection, first.node_code) as folder:
                for one, contract in provisions:
                    attempt(one, partial(drops, folder, contract))
        case "postgres":
            from yingshang.connectors.postgres import PostgresSource

            with PostgresSource(connection) as source:
                for one, contract in provisions:
                    attempt(one, partial(window, source, contract))
        case "http":
            from yingshang.connectors.http import HttpSource

            with HttpSource(connection) as api:
                for one, contract in provisions:
                    attempt(one, partial(window, api, contract))


@contextlib.contextmanager
def only_one(connection: PgConnection, system: str, node_code: str) -> Iterator[None]:
    """Hold the lock of the node: an attempt that is still running must not race its retry.

    Raises:
        NodeBusy: another one holds it.
    """
    import psycopg

    connection.execute("select set_config('lock_timeout', %s, false)", (f"{int(LOCK_SECONDS * 1000)}ms",))
    try:
        connection.execute("select pg_advisory_lock(%s, hashtext(%s))", (LOCK_CLASS, f"{system}/{node_code}"))
    except psycopg.errors.LockNotAvailable:
        raise NodeBusy(
            f"another ingest of {system} of node {node_code} is running: try again when it has ended"
        ) from None
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("select pg_advisory_unlock(%s, hashtext(%s))", (LOCK_CLASS, f"{system}/{node_code}"))


class CutOffPassed(TerminalError):
    """The night closes: what is not read by now belongs to the next one."""


class NodeBusy(TransientError):
    """The same node is being ingested by another process."""
