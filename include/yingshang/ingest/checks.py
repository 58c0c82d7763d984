"""Row checks from the contract, whole columns at a time. A row that breaks it is named with every reason.

Reasons: ``required:COLUMN``, ``type:``, ``max_length:``, ``pattern:``, ``allowed:``, ``minimum:``, ``maximum:``,
``time:`` (no such date or time), ``not_after_clock:``, ``unreadable:`` (bytes not of the declared charset, or NUL),
``row_rule:LEFT<=RIGHT`` (two columns contradict each other), ``region_not_of_node``, ``cursor_in_future`` and
``malformed_row``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from yingshang.connectors.base import MALFORMED, clock_plus
from yingshang.ingest.conform import TYPED

if TYPE_CHECKING:
    import polars as pl

    from yingshang.contracts import Column, Contract
    from yingshang.contracts.model import NodeScope, RowRule

FUTURE_TOLERANCE = timedelta(hours=2)
FUTURE = "cursor_in_future"
_LEAP_DAY = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)0229"
_OTHER_DAY = (
    "[0-9]{4}(?:(?:0[13578]|1[02])(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)(?:0[1-9]|[12][0-9]|30)"
    "|02(?:0[1-9]|1[0-9]|2[0-8]))"
)
_DAY = f"(?:{_OTHER_DAY}|{_LEAP_DAY})"
TIME_PATTERNS = {
    "yyyyMM": "[0-9]{4}(?:0[1-9]|1[0-2])",
    "yyyyMMdd": _DAY,
    "yyyyMMddHHmmss": f"{_DAY}(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]",
}
"""Days of the calendar and seconds of the day, each as one pattern: a third of the work of parsing."""


@dataclass(frozen=True)
class Verdict:
    """The rows of one conformed frame, parted.

    Attributes:
        good: rows that keep the contract, columns as in the conformed frame.
        bad: the others; ``reasons`` beside them, in the same order.
        newest_cursor: greatest cursor that is a time and not in the future, of good and bad rows.
    """

    good: pl.DataFrame
    bad: pl.DataFrame
    reasons: list[list[str]]
    newest_cursor: str | None


class RowChecks:
    """The checks of one contract for one node. ``clock``: the source's own, 14 digits.

    ``is_text``: the source is text in some charset, where unreadable bytes can occur.
    """

    def __init__(self, contract: Contract, node_code: str, clock: str, *, is_text: bool) -> None:
        self._contract, self._node_code, self._is_text = contract, node_code, is_text
        self._clock, self._latest = clock, clock_plus(clock, FUTURE_TOLERANCE)

    def part(self, frame: pl.DataFrame) -> Verdict:
        """Part the rows of a conformed frame."""
        import polars as pl

        raised = self._raised(frame)
        cursor = self._contract.cursor
        if MALFORMED in frame.columns and frame[MALFORMED].null_count() < frame.height:
            malformed = frame[MALFORMED].is_not_null()
        elif raised:
            malformed = pl.repeat(False, frame.height, eager=True, dtype=pl.Boolean)
        else:
            return Verdict(frame, frame.clear(), [], _text(frame[cursor].max()))
        flags = frame.select(self._all[reason].fill_null(False).alias(reason) for reason in raised)
        is_bad = flags.select(pl.any_horizontal(raised)).to_series() | malformed if raised else malformed
        bad = frame.filter(is_bad)
        rows = flags.filter(is_bad).iter_rows() if raised else ((),) * bad.height
        reasons = [
            ["malformed_row"] if broken else [reason for reason, flag in zip(raised, row, strict=True) if flag]
            for broken, row in zip(malformed.filter(is_bad), rows, strict=True)
        ]
        of_cursor = [reason for reason in raised if reason == FUTURE or reason.endswith(f":{cursor}")]
        usable = frame[cursor]
        if of_cursor:
            usable = usable.filter(~flags.select(pl.any_horizontal(of_cursor)).to_series())
        return Verdict(frame.filter(~is_bad), bad, reasons, _text(usable.max()))

    def _raised(self, frame: pl.DataFrame) -> list[str]:
        """Reasons that any row gives, in one pass.

        Lengths are counted in bytes first, which are known and never fewer than characters; characters are counted
        where bytes exceed the limit.
        """
        import polars as pl

        limits = {
            f"max_length:{one.name}": one
            for one in self._contract.columns
            if one.max_length is not None and not one.is_free_text
        }
        found = frame.select(
            pl.col(limits[reason].name).str.len_bytes().max().alias(reason)
            if reason in limits
            else expression.any().alias(reason)
            for reason, expression in self._all.items()
        ).row(0, named=True)
        raised = []
        for reason, value in found.items():
            if reason not in limits:
                is_raised = bool(value)
            else:
                is_raised = (value or 0) > (limits[reason].max_length or 0) and bool(
                    frame.select(self._all[reason].any()).item()
                )
            if is_raised:
                raised.append(reason)
        return raised

    @cached_property
    def _all(self) -> Mapping[str, pl.Expr]:
        import polars as pl

        checks: dict[str, pl.Expr] = {}
        for column in self._contract.columns:
            checks |= self._of_column(column)
        cursor = pl.col(self._contract.cursor)
        checks[FUTURE] = cursor > self._latest
        for rule in self._contract.row_rules:
            checks[f"row_rule:{rule}"] = ~self._holds(rule)
        scopes = [self._is_foreign(scope) for scope in self._contract.node_scopes]
        if scopes:
            checks["region_not_of_node"] = pl.any_horizontal(scope.fill_null(False) for scope in scopes)
        return checks

    def _holds(self, rule: RowRule) -> pl.Expr:
        import polars as pl

        left, right = (
            pl.col(name if self._contract.column(name).kind == "time" else TYPED + name)
            for name in (rule.left, rule.right)
        )
        return {
            "<": left < right,
            "<=": left <= right,
            "=": left == right,
            ">=": left >= right,
            ">": left > right,
        }[rule.operator]

    def _is_foreign(self, scope: NodeScope) -> pl.Expr:
        """Whether a code, or one of several in one field, is another node's."""
        import polars as pl

        code = scope.code(self._node_code)

        def differs(text: pl.Expr) -> pl.Expr:
            return text.str.slice(scope.start - 1, scope.length or len(code)) != code

        separator = self._contract.column(scope.column).multi
        if separator is None:
            return differs(pl.col(scope.column))
        foreign = differs(pl.element()) & (pl.element() != "")
        return pl.col(scope.column).str.split(separator).list.eval(foreign).list.any()

    def _of_column(self, column: Column) -> dict[str, pl.Expr]:
        import polars as pl

        text, name = pl.col(column.name), column.name
        checks: dict[str, pl.Expr] = {}
        if column.required:
            checks[f"required:{name}"] = text.is_null()
        if column.is_free_text:
            if column.max_length is not None:
                checks[f"max_length:{name}"] = pl.col(TYPED + name) > column.max_length
            return checks
        if self._is_text:
            checks[f"unreadable:{name}"] = text.str.contains("[\x00\ufffd]")
        if column.max_length is not None:
            checks[f"max_length:{name}"] = text.str.len_chars() > column.max_length
        if column.pattern is not None:
            pattern = f"^(?:{column.pattern})$"
            checks[f"pattern:{name}"] = (
                ~_elements(text, column.multi).list.eval(pl.element().str.contains(pattern)).list.all()
                if column.multi
                else ~text.str.contains(pattern)
            )
        if column.allowed is not None:
            allowed = list(column.allowed)
            checks[f"allowed:{name}"] = (
                ~_elements(text, column.multi).list.eval(pl.element().is_in(allowed)).list.all()
                if column.multi
                else ~text.is_in(allowed)
            )
        if column.kind == "time":
            shapes = "|".join(TIME_PATTERNS[one] for one in column.time_formats)
            checks[f"time:{name}"] = ~text.str.contains(f"^(?:{shapes})$")
        if column.not_after_clock:
            clock = pl.lit(clock_plus(self._clock, column.clock_tolerance)).str.slice(0, text.str.len_bytes())
            checks[f"not_after_clock:{name}"] = text > clock
        if column.kind in ("decimal", "integer"):
            typed = pl.col(TYPED + name)
            checks[f"type:{name}"] = typed.is_null() & text.is_not_null()
            if column.minimum is not None:
                checks[f"minimum:{name}"] = typed < column.minimum
            if column.maximum is not None:
                checks[f"maximum:{name}"] = typed > column.maximum
        return checks


def _elements(text: pl.Expr, separator: str | None) -> pl.Expr:
    """The values joined in one text; empty ones (a trailing separator) are none."""
    import polars as pl

    return text.str.split(separator or ";").list.eval(pl.element().filter(pl.element() != ""))


def _text(value: object) -> str | None:
    return None if value is None else str(value)
