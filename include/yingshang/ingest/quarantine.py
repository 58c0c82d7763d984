"""Rows that break their contract: kept encrypted with every reason, so that they can be looked at and replayed."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import IO, TYPE_CHECKING

from yingshang.connectors.base import MALFORMED
from yingshang.ingest.conform import TYPED
from yingshang.ingest.rows import ROW
from yingshang.settings import settings

if TYPE_CHECKING:
    import polars as pl

    from yingshang.secrets import KeyRing
    from yingshang.warehouse import PgConnection

SAMPLE_ROWS = 1000
"""Rows kept of a batch that failed as a whole."""
RAW_TEXT = "__raw__"
"""Key of the payload of a malformed row."""


COLUMNS = {
    "batch_id": "int8",
    "run_id": "text",
    "system": "text",
    "dataset": "text",
    "node_code": "text",
    "night": "date",
    "row_number": "int8",
    "reasons": "text[]",
    "payload": "bytea",
    "key_id": "text",
    "expires_at": "timestamptz",
}


class QuarantineSpool:
    """Quarantined rows of one batch, encrypted at once, in a temporary file until they are loaded."""

    def __init__(
        self, ring: KeyRing, *, batch_id: int, run_id: str, system: str, dataset: str, node_code: str, night: date
    ) -> None:
        self._ring = ring
        self._batch_id = batch_id
        self._of = (run_id, system, dataset, node_code, night)
        self._expires = datetime.now(UTC) + timedelta(days=settings().quarantine_days)
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="yingshang-quarantine-")  # noqa: SIM115 - see close
        self.rows = 0

    def add(self, bad: pl.DataFrame, reasons: list[list[str]]) -> None:
        """Rows of a conformed frame with a column ``_row``."""
        from cryptography.fernet import Fernet

        fernet = Fernet(self._ring.active_key)
        delivered = [name for name in bad.columns if not name.startswith(TYPED) and name not in (ROW, MALFORMED)]
        numbers = bad[ROW].to_list()
        malformed = bad[MALFORMED].to_list() if MALFORMED in bad.columns else [None] * bad.height
        for at, row in enumerate(bad.select(delivered).iter_rows(named=True)):
            content = row if malformed[at] is None else {RAW_TEXT: malformed[at]}
            payload = fernet.encrypt(json.dumps(content, ensure_ascii=False).encode()).decode()
            self._file.write(json.dumps([numbers[at], reasons[at], payload]).encode() + b"\n")
        self.rows += bad.height

    def copy_into(self, connection: PgConnection) -> None:
        """All rows into ``quarantine.row``, in the caller's transaction."""
        if self.rows:
            self._copy(connection, self._batch_id, self.rows)

    def keep_sample(self, connection: PgConnection) -> None:
        """Keep the first rows of a batch that failed, without a batch id, in place of those of an earlier attempt.

        ``connection``: as ingest, autocommit.
        """
        with connection.transaction():
            connection.execute(
                "delete from quarantine.row where batch_id is null and run_id = %s and system = %s and dataset = %s"
                " and node_code = %s",
                self._of[:4],
            )
            self._copy(connection, None, SAMPLE_ROWS)

    def close(self) -> None:
        self._file.close()

    def _copy(self, connection: PgConnection, batch_id: int | None, most: int) -> None:
        statement = f"copy quarantine.row ({', '.join(COLUMNS)}) from stdin (format binary)"
        self._file.seek(0)
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(list(COLUMNS.values()))
            for line in islice(self._file, most):
                number, reasons, payload = json.loads(line)
                copy.write_row(
                    (batch_id, *self._of, number, reasons, payload.encode(), self._ring.active, self._expires)
                )
