"""Versions of trading records written straight into raw and the ledger, for tests of the models.

Nothing of the program takes part: batches, versions and events are plain SQL, in whatever order a test wants.
"""

import datetime as dt
import itertools
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
KEYS: Mapping[str, tuple[str, ...]] = {
    "project": ("tender_project_code",),
    "lot": ("bid_section_code",),
    "notice": ("url",),
    "bid": ("bid_section_code", "bidder_org_code"),
    "result": ("bid_section_code", "win_bidder_code"),
    "contract": ("bid_section_code", "bidder_code"),
    "performance": ("bid_section_code",),
}
MARTS = (
    "dim_date", "dim_division", "dim_industry", "dim_transaction_type", "dim_organization", "dim_project",
    "fct_transaction", "fct_transaction_event", "fct_bid", "fct_contract",
    "rpt_connection_matrix", "rpt_trading_monthly", "rpt_provision",
)  # fmt: skip
FIRST_NIGHT = dt.date(2024, 8, 13)

Row = Mapping[str, Any]


def project_code(node: str, number: int) -> str:
    """Tender project: letter + 6-digit region + 13."""
    return f"E{node}{number:013d}"


def lot_code(project: str, number: int) -> str:
    """Lot: its tender project + 3."""
    return f"{project}{number:03d}"


def deal_code(source_type: str, day: str, number: int) -> str:
    """Unified deal code; its check character is not looked at by the models."""
    return f"{source_type}-91210100MA0ABCDE1X-{day}-{number:06d}-X"


@dataclass
class RawLog:
    """Writes batches and events; the connection commits at once (autocommit)."""

    connection: psycopg.Connection[Any]
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _columns: dict[str, list[str]] = field(default_factory=dict)

    def batch(
        self, dataset: str, node: str, rows: Iterable[Row], *, night: dt.date = FIRST_NIGHT, drop: str | None = None
    ) -> int:
        """Load a batch (not yet admitted); returns its id. Rows are columns of raw, what is missing is null."""
        batch_id, rows = next(self._ids), list(rows)
        run_id = f"test:{night}"
        self.connection.execute(
            "insert into ops.night_run (run_id, night) values (%s, %s) on conflict do nothing", (run_id, night)
        )
        cursors = [row["data_timestamp"] for row in rows]
        self.connection.execute(
            """insert into ops.batch (batch_id, run_id, night, system, dataset, node_code, kind, drop_period,
                drop_sha256, cursor_high, source_rows, raw_rows, quarantined_rows, duplicate_rows, contract_version,
                started_at)
            values (%s, %s, %s, 'trading', %s, %s, %s, %s, %s, %s, %s, %s, 0, 0, '1.0.0', now())""",
            (
                batch_id, run_id, night, dataset, node, "drop" if drop else "replay", drop, f"sha {batch_id}",
                max(cursors, default=None), len(rows), len(rows),
            ),
        )  # fmt: skip
        columns = self._raw_columns(dataset)
        statement = sql.SQL("insert into raw.{} ({}) values ({})").format(
            sql.Identifier(f"trading__{dataset}"),
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
                (f"trading__{dataset}",),
            )
            self._columns[dataset] = [name for (name,) in rows]
        return self._columns[dataset]


@dataclass
class Models:
    """Builds of the dbt project as the publisher makes them, without serving them."""

    connection: psycopg.Connection[Any]
    environment: Mapping[str, str]
    folder: Path
    project: Path = PROJECT

    def seed(self, schema: str) -> None:
        """Load the seeds of a schema."""
        self.checked("seed", schema)

    def build(self, schema: str, *, to_seq: int, night: dt.date = FIRST_NIGHT, full: bool = False) -> int:
        """One build of all models up to ``to_seq``; an incremental one goes on from the last of the schema."""
        build_id = self.open(schema, to_seq=to_seq, night=night, full=full)
        self.checked("run", schema, *(["--full-refresh"] if full else []))
        return build_id

    def open(self, schema: str, *, to_seq: int, night: dt.date = FIRST_NIGHT, full: bool = False) -> int:
        """Write the row of ops.build that models read their context from."""
        row = self.connection.execute(
            """insert into ops.build (schema_name, slot, kind, from_seq, to_seq, night)
            select %(schema)s, %(schema)s, %(kind)s,
                case when %(full)s then 0 else
                    (select b.to_seq from ops.build b where b.schema_name = %(schema)s order by build_id desc limit 1)
                end, %(to_seq)s, %(night)s
            returning build_id""",
            {
                "schema": schema, "kind": "full" if full else "incremental", "full": full, "to_seq": to_seq,
                "night": night,
            },
        ).fetchone()  # fmt: skip
        assert row
        return int(row[0])

    def run(self, command: str, schema: str, *arguments: str) -> Any:
        """Run dbt in this process; returns its result, good or bad."""
        from dbt.cli.main import dbtRunner

        with _environment(self.environment):
            return dbtRunner().invoke(
                [
                    command, "--quiet", "--project-dir", str(self.project), "--profiles-dir", str(self.project),
                    "--target", schema, "--target-path", str(self.folder / schema),
                    "--log-path", str(self.folder / "logs"), *arguments,
                ]
            )  # fmt: skip

    def checked(self, command: str, schema: str, *arguments: str) -> None:
        """Run dbt; it must succeed."""
        result = self.run(command, schema, *arguments)
        bad = [
            f"{one.node.name}: {one.message}"
            for one in getattr(result.result, "results", []) or []
            if one.status not in ("success", "pass")
        ]
        assert result.success, f"dbt {command}: {result.exception or bad}"

    def differences(self, one: str, other: str) -> dict[str, int]:
        """Rows that are in one schema only, by mart: EXCEPT ALL both ways, _slot and _build_id apart."""
        found = {}
        for mart in (*MARTS, "int_trading__notices_exploded"):
            columns = sql.SQL(", ").join(
                sql.Identifier(name)
                for (name,) in self.connection.execute(
                    """select attname from pg_attribute where attrelid = %s::regclass and attnum > 0
                    and not attisdropped and attname not in ('_slot', '_build_id') order by attnum""",
                    (f"{one}.{mart}",),
                )
            )
            ways = [
                sql.SQL("(select {c} from {a} except all select {c} from {b})").format(
                    c=columns, a=sql.Identifier(a, mart), b=sql.Identifier(b, mart)
                )
                for a, b in ((one, other), (other, one))
            ]
            row = self.connection.execute(sql.SQL("select count(*) from ({} union all {}) d").format(*ways)).fetchone()
            assert row
            if row[0]:
                found[mart] = int(row[0])
        return found

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()  # type: ignore[arg-type]

    def row(self, query: str) -> tuple[Any, ...]:
        (found,) = self.rows(query)
        return found


def copied_project(folder: Path, edits: Mapping[str, tuple[str, str]]) -> Path:
    """A copy of the dbt project with ``{file: (old, new)}`` replaced, for controls that must go red."""
    target = folder / "dbt_project"
    other_registries = "[0-9a-f]" * 12
    shutil.copytree(PROJECT, target, ignore=shutil.ignore_patterns("target", "logs", other_registries))
    for name, (old, new) in edits.items():
        text = (target / name).read_text(encoding="utf-8")
        assert old in text, f"{name} no longer has {old!r}: write the control anew"
        (target / name).write_text(text.replace(old, new), encoding="utf-8")
    return target


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
