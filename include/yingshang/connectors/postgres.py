"""PostgreSQL sources: one REPEATABLE READ READ ONLY snapshot for all datasets of a node, read with ADBC.

An anchor connection opens the snapshot, asks the catalog, the clock and the counts; an ADBC session that imports the
snapshot reads the rows. So parents and children agree, and when a dataset fails, a new session goes on in the same
snapshot with the others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from yingshang.connectors.adbc import AdbcSession, is_adbc_error, safe_message, sqlstate_of
from yingshang.connectors.base import BATCH_BYTES, Delivery, Request, clock_plus
from yingshang.connectors.channel import read_ahead
from yingshang.errors import ContractError, CredentialError, SourceInconsistent, SourceUnavailable, YingshangError
from yingshang.transport import UNTRUSTED

if TYPE_CHECKING:
    import pyarrow as pa

    from yingshang.secrets import Connection

CONNECT_SECONDS = 10
STATEMENT_SECONDS = 1800
SESSION: dict[str, str | int | None] = {
    "connect_timeout": CONNECT_SECONDS,
    "application_name": "yingshang_ingest",
    "client_encoding": "utf8",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    "options": "-c default_transaction_isolation=repeatable\\ read -c default_transaction_read_only=on "
    f"-c statement_timeout={STATEMENT_SECONDS}s -c lock_timeout=30s",
}
COLUMNS = """
    select upper(attname), format_type(atttypid, atttypmod), attname from pg_attribute
    where attrelid = %s and attnum > 0 and not attisdropped order by attnum"""


class PostgresSource:
    """The tables of one node, as they were at the moment of :meth:`__enter__`."""

    def __init__(self, connection: Connection, *, batch_bytes: int = BATCH_BYTES) -> None:
        self._named = f"connection {connection.conn_id!r}"
        self._place = _place(connection.uri)
        self._batch_bytes = batch_bytes
        try:
            self._conninfo = make_conninfo(connection.uri, **SESSION)
        except psycopg.ProgrammingError:
            raise CredentialError(f"{self._named} is not a usable PostgreSQL URI") from None
        self._clock = ""
        self._snapshot = ""
        self._session: AdbcSession | None = None

    def __enter__(self) -> Self:
        with self._explained("the connection"):
            self._anchor = psycopg.connect(self._conninfo)
            try:
                self._open_snapshot()
            except BaseException:
                self._anchor.close()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop_session()
        self._anchor.close()

    @property
    def clock(self) -> str:
        return self._clock

    def columns(self, request: Request) -> tuple[dict[str, str], dict[str, str]]:
        """Types by upper-case name, and the source's own spelling of each. Raises ContractError."""
        with self._explained(f"table {request.table.lower()}"), self._anchor.transaction():
            return self._columns(request)

    def copy(self, request: Request, query: sql.Composable) -> Iterator[bytes]:
        """The result of a query of ours on the table, in the snapshot, as lines of COPY (UTF-8)."""
        with (
            self._explained(f"table {request.table.lower()}"),
            self._anchor.transaction(),
            self._anchor.cursor() as cursor,
            cursor.copy(sql.SQL("copy ({}) to stdout").format(query)) as copy,
        ):
            for data in copy:
                yield bytes(data)

    @contextlib.contextmanager
    def read(self, request: Request, condition: sql.Composable | None = None) -> Iterator[Delivery]:
        """The rows of a request out of the snapshot. See :class:`~yingshang.connectors.base.WindowSource`.

        ``condition``: only the rows for which it holds, whatever their cursor.
        """
        table = sql.Identifier(request.table.lower())
        columns, spelled = self.columns(request)
        where = sql.SQL(" where {}").format(condition) if condition is not None else _predicate(request, spelled)
        wanted = [name for name in request.columns if name in columns]
        query = sql.SQL("select {} from {}{}").format(
            sql.SQL(", ").join(
                sql.SQL("{} as {}").format(sql.Identifier(spelled[name]), sql.Identifier(name)) for name in wanted
            ),
            table,
            where,
        )
        is_read = False
        try:
            with ThreadPoolExecutor(1, "yingshang-count") as beside, contextlib.ExitStack() as stack:
                counting = beside.submit(self._count, request.table.lower(), table, where)
                with self._explained(f"table {request.table.lower()}"):
                    session = self._session = self._session or self._new_session()
                    text = query.as_string(self._anchor)
                    reader = stack.enter_context(session.query(text, batch_bytes=self._batch_bytes))
                batches = stack.enter_context(read_ahead(self._batches(reader, request)))
                yield Delivery(columns, counting.result, batches)
            is_read = True
        finally:
            if not is_read:  # a result read in part, or a transaction that failed, is of no use to the next dataset
                self._drop_session()

    def _count(self, name: str, table: sql.Identifier, where: sql.Composable) -> int:
        """Rows by the source's own count, in the same snapshot; it runs beside the reading."""
        with self._explained(f"table {name}"), self._anchor.transaction():
            row = self._anchor.execute(sql.SQL("select count(*) from {}{}").format(table, where)).fetchone()
        return int(row[0]) if row else 0

    def _new_session(self) -> AdbcSession:
        session = AdbcSession(self._conninfo)
        try:
            session.begin()
            session.execute(f"set transaction snapshot '{self._snapshot}'")
        except BaseException:
            session.close()
            raise
        return session

    def _drop_session(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _batches(self, reader: pa.RecordBatchReader, request: Request) -> Iterator[pa.RecordBatch]:
        while True:
            with self._explained(f"table {request.table.lower()}"):
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    return
            yield _without_extensions(batch)

    def _open_snapshot(self) -> None:
        row = self._anchor.execute(
            "select pg_export_snapshot(), to_regprocedure('exchange_clock()') is not null,"
            " to_char(now() at time zone 'Asia/Shanghai', 'YYYYMMDDHH24MISS')"
        ).fetchone()
        assert row is not None  # noqa: S101 - a select without from has one row
        self._snapshot, has_clock, self._clock = row
        if has_clock:
            found = self._anchor.execute("select exchange_clock()").fetchone()
            self._clock = str(found[0]) if found else ""
        clock_plus(self._clock, timedelta(0))

    def _columns(self, request: Request) -> tuple[dict[str, str], dict[str, str]]:
        """Types by upper-case name, and the source's own spelling of each."""
        name = request.table.lower()
        found = self._anchor.execute("select to_regclass(%s)::oid", (f'"{name}"',)).fetchone()
        if found is None or found[0] is None:
            raise ContractError(
                f"{self._named}: there is no table {name} in the search_path of its login: ask the node to provide it"
            )
        rows = self._anchor.execute(COLUMNS, (found[0],)).fetchall()
        columns = {upper: kind for upper, kind, _ in rows}
        lost = [column for column in (*request.primary_key, request.cursor) if column not in columns]
        if lost:
            raise ContractError(
                f"{self._named}: table {name} has no column {', '.join(lost)}; it has {', '.join(columns)}"
            )
        return columns, {upper: spelling for upper, _, spelling in rows}

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise self._error(error, what) from None
        except Exception as error:
            is_read_error = isinstance(error, OSError) or type(error).__module__.startswith("pyarrow")
            if not is_adbc_error(error) and not is_read_error:
                raise
            raise self._error(error, what) from None

    def _error(self, error: Exception, what: str) -> YingshangError:
        state, said = sqlstate_of(error), safe_message(error)
        named = f"{self._named} at {self._place}"
        if state.startswith("28") or "authentication failed" in said or "no password supplied" in said:
            return CredentialError(f"{named} refuses the login: {said}")
        if UNTRUSTED.search(said):
            return CredentialError(f"{named} is not trusted, or takes no encrypted connection: {said}")
        if state == "42501":
            return CredentialError(f"{named} does not let us read {what}: {said}")
        if state in ("3D000", "3F000") or "does not exist" in said:
            return (
                CredentialError(f"{named}: {said}") if what == "the connection" else ContractError(f"{named}: {said}")
            )
        if state.startswith(("22", "42")):
            return SourceInconsistent(f"{named}, {what}: {said}")
        return SourceUnavailable(f"{named} does not answer or breaks off ({what}): {said}")


def _predicate(request: Request, spelled: dict[str, str]) -> sql.Composable:
    cursor = sql.Identifier(spelled[request.cursor])
    terms: list[sql.Composable] = []
    if request.low is not None:
        terms.append(sql.SQL("{} > {}").format(cursor, sql.Literal(request.low)))
    if request.high is not None:
        terms.append(sql.SQL("{} <= {}").format(cursor, sql.Literal(request.high)))
    if not terms:
        return sql.SQL("")
    window: sql.Composable = sql.SQL(" and ").join(terms)
    if request.with_null_cursor:
        window = sql.SQL("({}) or {} is null").format(window, cursor)
    return sql.SQL(" where {}").format(window)


def _without_extensions(batch: pa.RecordBatch) -> pa.RecordBatch:
    """ADBC gives `numeric` as an opaque extension type: hand on the text that it holds."""
    import pyarrow as pa

    arrays: list[Any] = [
        column.storage if isinstance(column, pa.ExtensionArray) else column for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _place(uri: str) -> str:
    try:
        parts = urlsplit(uri)
        port = parts.port or 5432
    except ValueError:
        return "an unreadable address"
    return f"{parts.hostname or 'local socket'}:{port}{parts.path}"
