"""What a batch looks like: measures for the landing gate, gathered while its rows go through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from operator import add
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
        if not rows.height:
            return
        self._rows += rows.height
        for key, value in rows.select(self._measures).row(0, named=True).items():
            kind, name = key.split(":", 1)
            if kind == "nulls":
                self._nulls[name] += value
            elif kind == "cursor":
                self._see_cursor(value)
            elif kind == "tombstones":
                self._tombstones += value
            elif kind == "codes":
                self._count(name, value)
            else:
                self._add_amount(name, kind, value)

    @cached_property
    def _measures(self) -> list[pl.Expr]:
        """What is measured of a frame, each expression named ``<measure>:<COLUMN>``."""
        import polars as pl

        contract = self._contract
        cursor, deleted = pl.col(contract.cursor.lower()), pl.col(contract.delete_column.lower())
        measures = [
            cursor.min().alias("cursor:min"),
            cursor.max().alias("cursor:max"),
            deleted.is_in(list(contract.delete_values)).sum().alias("tombstones:"),
        ]
        for column in contract.columns:
            values = pl.col(column.raw_name)
            measures.append(values.null_count().alias(f"nulls:{column.name}"))
            if column.pii:
                continue
            if column.allowed or column.known:
                codes = values.str.slice(0, column.known_length) if column.known_length else values
                measures.append(_counts(codes).alias(f"codes:{column.name}"))
            if column.name == DEAL_CODE:
                measures.append(_counts(values.str.slice(0, 3)).alias(f"codes:{DEAL_CODE}[1:3]"))
            if column.kind == "decimal":
                measures += [
                    values.min().alias(f"min:{column.name}"),
                    values.max().alias(f"max:{column.name}"),
                    values.cast(pl.Decimal(38, 6)).sum().alias(f"sum:{column.name}"),
                    values.count().alias(f"values:{column.name}"),
                ]
        return measures

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

    def _see_cursor(self, value: str | None) -> None:
        if value is not None:
            self._cursors = (
                [min(value, *self._cursors), max(value, *self._cursors)] if self._cursors else [value, value]
            )

    def _count(self, name: str, found: list[dict[str, Any]]) -> None:
        counts = self._codes.setdefault(name, Counter())
        for one in found:
            code = one["code"]
            if code is not None:
                counts[code if code in counts or len(counts) < MOST_CODES else "__other__"] += one["rows"]

    def _unknown(self) -> dict[str, float]:
        shares: dict[str, float] = {}
        for column in self._contract.columns:
            counts = self._codes.get(column.name)
            if column.known and counts and self._rows:
                shares[column.name] = sum(n for code, n in counts.items() if code not in column.known) / self._rows
        return shares

    def _add_amount(self, name: str, measure: str, value: Any) -> None:
        held = self._amounts.setdefault(name, {"min": None, "max": None, "sum": None, "values": 0})
        before = held[measure]
        if value is None or before is None:
            held[measure] = before if value is None else value
        else:
            held[measure] = {"min": min, "max": max}.get(measure, add)(before, value)


def _counts(values: pl.Expr) -> pl.Expr:
    """Rows per value, most first, as one list of {code, rows}."""
    return values.alias("code").value_counts(sort=True, name="rows").implode()
