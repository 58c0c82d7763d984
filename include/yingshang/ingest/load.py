"""COPY into raw and the ledger's row, in one transaction. Landing happens on the way.

A small batch is landed first, and loaded then. A great one is landed and copied by two more threads while it is still
being read and checked; nothing is committed before the landed file has been read back.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import psycopg
from psycopg import sql

from yingshang.connectors.adbc import safe_message, sqlstate_of
from yingshang.connectors.channel import Channel
from yingshang.errors import CredentialError, TerminalError, WarehouseUnavailable, YingshangError
from yingshang.ingest import binary_copy
from yingshang.ingest.landing import LandedFile, LandingFile
from yingshang.warehouse import PgConnection, connect, ledger
from yingshang.warehouse.ledger import NewBatch

if TYPE_CHECKING:
    import pyarrow as pa

STREAM_FROM_BYTES = 8 << 20
"""Size from which landing and COPY overlap with reading. A smaller batch holds no transaction open while it is read."""
QUEUED_BATCHES = 2


class LoadError(TerminalError):
    """The warehouse refuses rows or statements of ours: a fault of this program or of its installation."""


@dataclass(frozen=True)
class Loaded:
    """What lies in raw (counted there, in the transaction that loaded it) and in the landing zone."""

    raw_rows: int
    landed: LandedFile | None


class Beside(Protocol):
    """What is written to the quarantine in the transaction that loads a batch."""

    def copy_into(self, connection: PgConnection) -> None:
        """Write it; the caller commits."""
        ...


class WarehouseSession:
    """The connection of a task that loads: opened when first needed, kept between batches, dropped after a failure."""

    def __init__(self) -> None:
        self._connection: PgConnection | None = None

    def begin(self) -> PgConnection:
        """A connection with no transaction open; the next statement begins one."""
        if self._connection is None:
            self._connection = connect("ingest", application_name="yingshang_load")
        return self._connection

    def close(self) -> None:
        """End it; what is not committed is gone."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Load:
    """One batch on its way into raw. Call :meth:`put` for its rows, then :meth:`commit`; else :meth:`abort`."""

    def __init__(
        self,
        warehouse: WarehouseSession,
        table: str,
        schema: pa.Schema,
        landing: Callable[[], LandingFile],
        *,
        stream_from_bytes: int = STREAM_FROM_BYTES,
    ) -> None:
        self._warehouse, self._table, self._schema, self._new_landing = warehouse, table, schema, landing
        self._raw = sql.Identifier("raw", table)
        self._stream_from = stream_from_bytes
        self._landing: LandingFile | None = None
        self._connection: PgConnection | None = None
        self._buffered: deque[pa.RecordBatch] = deque()
        self._buffered_bytes = 0
        self._rows: Channel[pa.RecordBatch] = Channel(QUEUED_BATCHES)
        self._encoded: Channel[memoryview] = Channel(QUEUED_BATCHES)
        self._threads: tuple[threading.Thread, ...] = ()
        self._failure: BaseException | None = None

    def put(self, batches: list[pa.RecordBatch]) -> None:
        """Rows to land and load."""
        for batch in batches:
            if self._threads:
                self._rows.put(batch)
                continue
            self._buffered.append(batch)
            self._buffered_bytes += batch.nbytes
            if self._buffered_bytes >= self._stream_from:
                self._stream()

    def commit(self, batch_id: int, quarantine: Beside, complete: Callable[[Loaded], NewBatch]) -> NewBatch:
        """End the COPY, check what is in raw and in the landed file, write quarantine and ledger, commit.

        ``complete`` makes the ledger's row of what was loaded; it raises when the sums do not agree.

        Raises:
            AlreadyLoaded, LoadError, WarehouseUnavailable, LandingUnavailable, or what ``complete`` raises.
        """
        if self._threads:
            self._rows.end()
            for thread in self._threads:
                thread.join()
            if self._failure is not None:
                raise self._failure
        else:
            self._open()
            if self._buffered:
                self._copy(self._landed(self._buffered))
        connection = self._connection
        assert connection is not None  # noqa: S101 - opened above
        with _explained(self._table), ThreadPoolExecutor(1) as beside:
            reading_back = beside.submit(self._landing.finish) if self._landing is not None else None
            counting = sql.SQL("select count(*) from {} where _batch_id = %s").format(self._raw)
            counted = connection.execute(counting, (batch_id,)).fetchone()
            landed = reading_back.result() if reading_back is not None else None
            batch = complete(Loaded(int(counted[0]) if counted else 0, landed))
            quarantine.copy_into(connection)
            ledger.insert_batch(connection, batch)
            connection.commit()
        return batch

    def abort(self) -> None:
        """Leave nothing in raw and nothing in the landing zone."""
        self._break(LoadError("the load was given up"))
        for thread in self._threads:
            thread.join()
        self._warehouse.close()
        if self._landing is not None:
            self._landing.discard()

    def _open(self) -> None:
        with _explained(self._table):
            self._connection = self._warehouse.begin()
        if self._buffered:
            self._landing = self._new_landing()

    def _stream(self) -> None:
        """From now on one thread lands and encodes, and another copies, while rows are still being read and checked."""
        self._open()
        self._threads = (
            threading.Thread(target=self._run, args=(self._hand_on,), name="yingshang-land", daemon=True),
            threading.Thread(target=self._run, args=(self._receive,), name="yingshang-copy", daemon=True),
        )
        for thread in self._threads:
            thread.start()

    def _run(self, step: Callable[[], None]) -> None:
        try:
            step()
        except BaseException as error:  # noqa: BLE001 - handed to the other threads
            self._break(error)

    def _hand_on(self) -> None:
        for data in self._landed(self._waiting()):
            self._encoded.put(data)
        self._encoded.end()

    def _receive(self) -> None:
        self._copy(self._encoded)

    def _break(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._rows.break_with(error)
        self._encoded.break_with(error)

    def _waiting(self) -> Iterator[pa.RecordBatch]:
        while self._buffered:
            yield self._buffered.popleft()
        yield from self._rows

    def _landed(self, batches: Iterable[pa.RecordBatch]) -> Iterator[memoryview]:
        """Batches, landed, as bytes to copy."""
        landing = self._landing
        assert landing is not None  # noqa: S101 - opened before
        for batch in batches:
            landing.write(batch)
            yield binary_copy.encode(batch)

    def _copy(self, encoded: Iterable[memoryview]) -> None:
        connection = self._connection
        assert connection is not None  # noqa: S101 - opened before
        columns = sql.SQL(", ").join(map(sql.Identifier, self._schema.names))
        copying = sql.SQL("copy {} ({}) from stdin (format binary)").format(self._raw, columns)
        with _explained(self._table), connection.cursor() as cursor, cursor.copy(copying) as copy:
            copy.write(binary_copy.HEADER)
            for data in encoded:
                copy.write(data)
            copy.write(binary_copy.TRAILER)


@contextlib.contextmanager
def _explained(table: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise _error(error, table) from None


def _error(error: psycopg.Error, table: str) -> YingshangError:
    state, said = sqlstate_of(error), safe_message(error)
    if state.startswith("28"):
        return CredentialError(f"the warehouse refuses the login of ingest: {said}")
    if state.startswith(("22", "23", "42")) or "does not exist" in said:
        return LoadError(f"the warehouse refuses the load into raw.{table}: {said}: run `yingshang warehouse init`")
    return WarehouseUnavailable(f"the warehouse does not answer or breaks off (load into raw.{table}): {said}")
