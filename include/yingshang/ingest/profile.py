"""What a batch looks like: measures for the landing gate, gathered while its rows go through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from yingshang.contracts import Contract

DEAL_CODE = "UNIFIED_DEAL_CODE"
MOST_CODES = 50
"""Codes kept per column; the others are counted as ``__other__``."""


class Profile:
    """Measures of the rows of one batch that are landed.

    :meth:`result` gives (all keys always present):
        rows, source_rows, quarantined_rows, duplicate_rows, tombstones, reject_share (of source rows);
        oldest_cursor, newest_cursor (14 digits or null), source_clock;
        null_share: {COLUMN: 0-1} of all columns;
        codes: {COLUMN: {code: rows}} of columns with a code list, and of the first three characters of
        UNIFIED_DEAL_CODE as ``UNIFIED_DEAL_CODE[1:3]``;
        unknown_share: {COLUMN: 0-1}, rows whose code is not among the known ones of the contract;
        amounts: {COLUMN: {min, max, sum, values}} as text, in the unit of the row;
        reasons: {reason: rows} of the quarantined rows.
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._rows = self._tombstones = 0
        self._cursors: list[str] = []
        self._nulls: Counter[str] = Counter()
        self._codes: dict[str, Counter[str]] = {}
        self._amounts: dict[str, dict[str, Any]] = {}
        self._reasons: Counter[str] = Counter()

    def add(self, rows: pl.DataFrame) -> None:
        """Landed rows, raw names."""
        import polars as pl

        contract = self._contract
        if not rows.height:
            return
        self._rows += rows.height
        for name, nulls in zip(contract.column_names, rows.select(contract.raw_names).null_count().row(0), strict=True):
            self._nulls[name] += nulls
        cursor = rows[contract.cursor.lower()]
        self._cursors = [str(v) for v in (cursor.min(), cursor.max(), *self._cursors) if v is not None]
        self._cursors = [min(self._cursors), max(self._cursors)] if self._cursors else []
        deleted = rows[contract.delete_column.lower()].is_in(list(contract.delete_values))
        self._tombstones += int(deleted.sum() or 0)
        for column in contract.columns:
            if column.pii:
                continue
            if column.allowed or column.known:
                self._count(column.name, rows[column.raw_name])
            if column.name == DEAL_CODE:
                self._count(f"{DEAL_CODE}[1:3]", rows[column.raw_name].str.slice(0, 3))
            if column.kind == "decimal":
                values = rows.select(
                    pl.col(column.raw_name).min().alias("min"),
                    pl.col(column.raw_name).max().alias("max"),
                    pl.col(column.raw_name).cast(pl.Decimal(38, 6)).sum().alias("sum"),
                    pl.col(column.raw_name).count().alias("values"),
                ).row(0, named=True)
                self._add_amount(column.name, values)

    def reject(self, reasons: Iterable[Iterable[str]]) -> None:
        """Reasons of quarantined rows."""
        for of_row in reasons:
            self._reasons.update(of_row)

    def reasons(self, most: int) -> list[tuple[str, int]]:
        """The most frequent reasons of quarantined rows."""
        return self._reasons.most_common(most)

    def result(self, *, source_rows: int, quarantined: int, duplicates: int, clock: str) -> dict[str, Any]:
        """The measures, as JSON."""
        rows = self._rows
        return {
            "rows": rows,
            "source_rows": source_rows,
            "quarantined_rows": quarantined,
            "duplicate_rows": duplicates,
            "tombstones": self._tombstones,
            "reject_share": quarantined / source_rows if source_rows else 0.0,
            "oldest_cursor": self._cursors[0] if self._cursors else None,
            "newest_cursor": self._cursors[-1] if self._cursors else None,
            "source_clock": clock,
            "null_share": {name: self._nulls[name] / rows if rows else 0.0 for name in self._contract.column_names},
            "codes": {name: dict(counts.most_common()) for name, counts in self._codes.items()},
            "unknown_share": self._unknown(),
            "amounts": {
                name: {key: str(value) if key != "values" and value is not None else value for key, value in of.items()}
                for name, of in self._amounts.items()
            },
            "reasons": dict(self._reasons.most_common()),
        }

    def _count(self, name: str, values: pl.Series) -> None:
        counts = self._codes.setdefault(name, Counter())
        found = values.drop_nulls().value_counts(name="__rows__", sort=True)
        for code, rows in found.iter_rows():
            known = code in counts or len(counts) < MOST_CODES
            counts[code if known else "__other__"] += rows

    def _unknown(self) -> dict[str, float]:
        shares: dict[str, float] = {}
        for column in self._contract.columns:
            counts = self._codes.get(column.name)
            if column.known and counts and self._rows:
                shares[column.name] = sum(n for code, n in counts.items() if code not in column.known) / self._rows
        return shares

    def _add_amount(self, name: str, values: dict[str, Any]) -> None:
        held = self._amounts.setdefault(name, {"min": None, "max": None, "sum": None, "values": 0})
        if values["values"]:
            held["min"] = values["min"] if held["min"] is None else min(held["min"], values["min"])
            held["max"] = values["max"] if held["max"] is None else max(held["max"], values["max"])
            held["sum"] = values["sum"] if held["sum"] is None else held["sum"] + values["sum"]
            held["values"] += values["values"]
