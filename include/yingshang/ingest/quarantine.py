"""Rows that break their contract: kept encrypted with every reason, so that they can be looked at and replayed."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

from yingshang.connectors.base import MALFORMED
from yingshang.ingest.conform import TYPED
from yingshang.ingest.rows import ROW
from yingshang.settings import settings

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from yingshang.secrets import KeyRing
    from yingshang.warehouse import PgConnection

SAMPLE_ROWS = 1000
"""Rows kept of a batch that failed as a whole."""
RAW_TEXT = "__raw__"
"""Key of the payload of a malformed row."""


class QuarantineSpool:
    """Quarantined rows of one batch, encrypted at once, in a temporary file until they are loaded."""

    def __init__(
        self, ring: KeyRing, *, batch_id: int, run_id: str, system: str, dataset: str, node_code: str, night: date
    ) -> None:
        from cryptography.fernet import Fernet

        self._fernet, self._key_id = Fernet(ring.active_key), ring.active
        self._constant: dict[str, Any] = {
            "batch_id": batch_id,
            "run_id": run_id,
            "system": system,
            "dataset": dataset,
            "node_code": node_code,
            "night": night,
        }
        self._expires = datetime.now(UTC) + timedelta(days=settings().quarantine_days)
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="yingshang-quarantine-")  # noqa: SIM115 - see close
        self._writer: pa.ipc.RecordBatchStreamWriter | None = None
        self.rows = 0

    def add(self, bad: pl.DataFrame, reasons: list[list[str]]) -> None:
        """Rows of a conformed frame with a column ``_row``."""
        import pyarrow as pa

        delivered = [name for name in bad.columns if not name.startswith(TYPED) and name not in (ROW, MALFORMED)]
        malformed = bad[MALFORMED] if MALFORMED in bad.columns else None
        payloads: list[bytes] = []
        for at, row in enumerate(bad.select(delivered).iter_rows(named=True)):
            raw = malformed[at] if malformed is not None else None
            content = {RAW_TEXT: raw} if raw is not None else row
            payloads.append(self._fernet.encrypt(json.dumps(content, ensure_ascii=False).encode()))
        count = bad.height
        columns: dict[str, Any] = {
            **{name: pa.array([value] * count) for name, value in self._constant.items()},
            "row_number": pa.array(bad[ROW].to_list(), pa.int64()),
            "reasons": pa.array(reasons, pa.list_(pa.string())),
            "payload": pa.array(payloads, pa.binary()),
            "key_id": pa.array([self._key_id] * count),
            "expires_at": pa.array([self._expires] * count, pa.timestamp("us", "UTC")),
        }
        batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
        if self._writer is None:
            self._writer = pa.ipc.new_stream(self._file, batch.schema)
        self._writer.write_batch(batch)
        self.rows += count

    def reader(self) -> pa.RecordBatchReader | None:
        """All rows in the columns of ``quarantine.row``, or None when there are none. No rows can be added any more."""
        import pyarrow as pa

        if self._writer is None:
            return None
        self._writer.close()
        self._file.seek(0)
        return pa.ipc.open_stream(self._file)

    def keep_sample(self, connection: PgConnection) -> int:
        """Keep the first rows of a batch that failed, without a batch id, in place of those of an earlier attempt.

        ``connection``: as ingest, autocommit. Returns the rows kept.
        """
        reader = self.reader()
        with connection.transaction():
            connection.execute(
                "delete from quarantine.row where batch_id is null and run_id = %(run_id)s and system = %(system)s"
                " and dataset = %(dataset)s and node_code = %(node_code)s",
                self._constant,
            )
            if reader is None:
                return 0
            rows = list(islice((row for batch in reader for row in batch.to_pylist()), SAMPLE_ROWS))
            with connection.cursor() as cursor:
                cursor.executemany(
                    """insert into quarantine.row (run_id, system, dataset, node_code, night, row_number, reasons,
                        payload, key_id, expires_at)
                    values (%(run_id)s, %(system)s, %(dataset)s, %(node_code)s, %(night)s, %(row_number)s, %(reasons)s,
                        %(payload)s, %(key_id)s, %(expires_at)s)""",
                    rows,
                )
        return len(rows)

    def close(self) -> None:
        self._file.close()
