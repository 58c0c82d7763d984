"""Versions of records written straight into raw and the ledger, for tests of the models.

Nothing of the program takes part: batches, versions and events are plain SQL, in whatever order a test wants. Any
dataset whose raw table exists can be written: ``log.admitted("supervision.issue", "210000", {...}, {...})``.
"""

import datetime as dt
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

FIRST_NIGHT = dt.date(2024, 8, 13)

Row = Mapping[str, Any]


@dataclass
class RawLog:
    """Writes batches and events; the connection commits at once (autocommit).

    Datasets are named ``<system>.<dataset>``.
    """

    connection: psycopg.Connection[Any]
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _columns: dict[str, list[str]] = field(default_factory=dict)

    def batch(
        self, dataset: str, node: str, rows: Iterable[Row], *, night: dt.date = FIRST_NIGHT, drop: str | None = None
    ) -> int:
        """Load a batch (not yet admitted); returns its id. Rows are columns of raw, what is missing is null."""
        batch_id, rows = next(self._ids), list(rows)
        system, _, name = dataset.partition(".")
        run_id = f"test:{night}"
        self.connection.execute(
            "insert into ops.night_run (run_id, night) values (%s, %s) on conflict do nothing", (run_id, night)
        )
        cursors = [row["data_timestamp"] for row in rows]
        self.connection.execute(
            """insert into ops.batch (batch_id, run_id, night, system, dataset, node_code, kind, drop_period,
                drop_sha256, cursor_high, source_rows, raw_rows, quarantined_rows, duplicate_rows, contract_version,
                started_at)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 0, 0, '1.0.0', now())""",
            (
                batch_id, run_id, night, system, name, node, "drop" if drop else "replay", drop, f"sha {batch_id}",
                max(cursors, default=None), len(rows), len(rows),
            ),
        )  # fmt: skip
        columns = self._raw_columns(dataset)
        statement = sql.SQL("insert into raw.{} ({}) values ({})").format(
            sql.Identifier(_raw_table(dataset)),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
        )
        loaded = {"_batch_id": batch_id, "_digest": bytes(16)}
        with self.connection.cursor() as cursor:
            cursor.executemany(
                statement,
                [
                    [{"is_delete": "0", **row, **loaded, "_row": number}.get(column) for column in columns]
                    for number, row in enumerate(rows, start=1)
                ],
            )
        return batch_id

    def say(self, event: str, *batch_ids: int) -> int:
        """Record an event of batches; returns the newest seq."""
        rows = self.connection.execute(
            "select seq from ops.record_events(%s::bigint[], %s, 'test')", (list(batch_ids), event)
        ).fetchall()
        return max(seq for (seq,) in rows)

    def admitted(self, dataset: str, node: str, *rows: Row, night: dt.date = FIRST_NIGHT) -> int:
        """Load a batch and admit it."""
        batch_id = self.batch(dataset, node, rows, night=night)
        self.say("admitted", batch_id)
        return batch_id

    def max_seq(self) -> int:
        row = self.connection.execute("select coalesce(max(seq), 0) from ops.batch_event").fetchone()
        assert row
        return int(row[0])

    def _raw_columns(self, dataset: str) -> list[str]:
        if dataset not in self._columns:
            rows = self.connection.execute(
                """select column_name from information_schema.columns
                where table_schema = 'raw' and table_name = %s order by ordinal_position""",
                (_raw_table(dataset),),
            )
            self._columns[dataset] = [name for (name,) in rows]
            assert self._columns[dataset], f"raw has no table of {dataset}"
        return self._columns[dataset]


def _raw_table(dataset: str) -> str:
    return dataset.replace(".", "__")
