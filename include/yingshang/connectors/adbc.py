"""Reading from PostgreSQL as Arrow: ADBC without its DB-API layer, which would import pandas (2 s, 90 MB per task)."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import pyarrow as pa

SAFE_CLASSES = ("00", "08", "28", "3D", "3F", "40", "42", "53", "55", "57")
"""Classes of SQLSTATE whose messages name tables, columns and roles, but never a value of a row."""


SAFE_WORDS = re.compile(
    r"connect|terminat|does not exist|permission denied|authentication|timeout|timed out"
    r"|server closed|shut(?:ting)? ?down|starting up|no space|recovery|too many clients",
    re.IGNORECASE,
)
"""Messages without SQLSTATE that speak of the server, not of a row."""


class AdbcSession:
    """One PostgreSQL connection that speaks Arrow.

    Making one takes two logins and a look through the whole catalog: keep it for all that a task has to read.
    """

    def __init__(self, conninfo: str) -> None:
        import adbc_driver_manager
        import adbc_driver_postgresql

        self._manager = adbc_driver_manager
        self._database = adbc_driver_postgresql.connect(conninfo)
        try:
            self._connection = adbc_driver_manager.AdbcConnection(self._database)
        except BaseException:
            self._database.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        for part in (self._connection, self._database):
            with contextlib.suppress(self._manager.Error):
                part.close()

    def begin(self) -> None:
        """Begin a transaction, which ends with the session."""
        self._connection.set_autocommit(False)

    def execute(self, sql: str) -> None:
        """Run a statement that has no result."""
        with self._statement() as statement:
            statement.set_sql_query(sql)
            statement.execute_update()

    @contextlib.contextmanager
    def query(self, sql: str, *, batch_bytes: int) -> Iterator[pa.RecordBatchReader]:
        """The result of ``sql`` as a stream of record batches of about ``batch_bytes``."""
        with self._statement() as statement:
            statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(batch_bytes)})
            statement.set_sql_query(sql)
            with _reader(statement.execute_query()[0]) as reader:
                yield reader

    @contextlib.contextmanager
    def _statement(self) -> Iterator[Any]:
        statement = self._manager.AdbcStatement(self._connection)
        try:
            yield statement
        finally:
            with contextlib.suppress(self._manager.Error):
                statement.close()


def is_adbc_error(error: BaseException) -> bool:
    """Whether an error comes from the ADBC driver manager (without importing it)."""
    return any(kind.__module__.startswith("adbc_driver_manager") for kind in type(error).__mro__)


def sqlstate_of(error: BaseException) -> str:
    """The SQLSTATE of an ADBC or psycopg error, or an empty string."""
    return str(getattr(error, "sqlstate", None) or "")


def safe_message(error: BaseException) -> str:
    """What a database error says on one line, unless it might quote a value of a row: then its kind only."""
    state = sqlstate_of(error)
    said = " ".join(str(error).split())
    said = re.split(r" (?:DETAIL|CONTEXT|HINT|QUERY|LINE 1): |\. SQLSTATE| Query was: ", said, maxsplit=1)[0]
    said = re.sub(
        r"^(?:[A-Z_]+: )?(?:\[libpq\] )?(?:(?:Failed to|Execution error).*?(?:: |\] ))?(?=ERROR|FATAL)", "", said
    )
    is_safe = state.startswith(SAFE_CLASSES) if state else SAFE_WORDS.search(said) is not None
    if not is_safe:
        return f"{type(error).__name__}{f', SQLSTATE {state}' if state else ''}"
    return said[:400]


def _reader(handle: Any) -> contextlib.AbstractContextManager[pa.RecordBatchReader]:
    import pyarrow as pa

    return contextlib.closing(pa.RecordBatchReader.from_stream(handle))
