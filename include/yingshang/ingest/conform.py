"""From what a connector delivers to the kinds of the contract, whole columns at a time.

First everything is text (an empty text is an absent value), then integers and amounts are cast. What cannot be cast
becomes null in the typed column, which the row checks see, since the text is not null.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from yingshang.contracts import Contract

TYPED = "__typed__"
"""Prefix of the cast columns in a conformed frame."""
_AMOUNT = r"^[+-]?[0-9]{1,14}(?:\.[0-9]{1,6}0*|\.)?$"
_INTEGER = r"^[+-]?[0-9]{1,19}(?:\.0*)?$"
_EXPONENT = r"^[+-]?[0-9]+(?:\.[0-9]*)?[eE][+-]?[0-9]{1,3}$"


def conform(batch: pa.RecordBatch, contract: Contract) -> pl.DataFrame:
    """All columns of the batch as text, those of the contract that it lacks as nulls, and the typed columns."""
    import polars as pl

    frame = pl.from_arrow(batch)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - of a record batch
    frame = frame.select(_as_text(name, kind) for name, kind in frame.schema.items())
    frame = _without_empty(frame)
    missing = [name for name in contract.column_names if name not in frame.columns]
    if missing:
        frame = frame.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in missing)
    numbers = [column for column in contract.columns if column.kind in ("decimal", "integer")]
    return frame.with_columns(
        _amount(frame, column.name) if column.kind == "decimal" else _integer(frame, column.name)
        for column in numbers
        if not column.pii
    )


def _as_text(name: str, kind: pl.DataType) -> pl.Expr:
    import polars as pl

    column = pl.col(name)
    if kind == pl.String:
        return column
    if kind == pl.Boolean:
        return column.cast(pl.Int8).cast(pl.String)
    if kind == pl.Date:
        return column.dt.strftime("%Y%m%d")
    if isinstance(kind, pl.Datetime):
        local = column.dt.convert_time_zone("Asia/Shanghai") if kind.time_zone else column
        return local.dt.strftime("%Y%m%d%H%M%S")
    if kind == pl.Binary:
        return column.bin.encode("hex")
    return column.cast(pl.String, strict=False)


def _without_empty(frame: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    shortest = frame.select(pl.all().str.len_bytes().min()).row(0, named=True)
    has_empty = [name for name, length in shortest.items() if length == 0]
    return frame.with_columns(pl.when(pl.col(name) != "").then(pl.col(name)) for name in has_empty)


def _amount(frame: pl.DataFrame, name: str) -> pl.Expr:
    """Exact decimals of at most 6 places; more are no amount (nothing is rounded in silence)."""
    import polars as pl

    from yingshang.contracts.model import DECIMAL_PRECISION, DECIMAL_SCALE

    text, is_number = _numbers(frame, name, _AMOUNT)
    cast = text.cast(pl.Decimal(DECIMAL_PRECISION, DECIMAL_SCALE), strict=False)
    return pl.when(is_number).then(cast).alias(TYPED + name)


def _integer(frame: pl.DataFrame, name: str) -> pl.Expr:
    import polars as pl

    text, is_number = _numbers(frame, name, _INTEGER)
    cast = text.str.replace(r"\.0*$", "").cast(pl.Int64, strict=False)
    return pl.when(is_number).then(cast).alias(TYPED + name)


def _numbers(frame: pl.DataFrame, name: str, pattern: str) -> tuple[pl.Expr, pl.Expr]:
    """The column as plain numbers, and which of its values are some.

    Where all are written plainly, nothing has to be done; else blanks go, and exponents (1.25E7, as some APIs write)
    are written out.
    """
    import polars as pl

    text = pl.col(name)
    if frame.select(text.str.contains(pattern).all()).item():
        return text, text.is_not_null()
    text = text.str.strip_chars()
    has_exponent = text.str.contains(_EXPONENT)
    if frame.select(has_exponent.any()).item():
        text = pl.when(has_exponent).then(text.map_elements(_written_out, return_dtype=pl.String)).otherwise(text)
    return text, text.str.contains(pattern)


def _written_out(text: str) -> str:
    try:
        return f"{Decimal(text):f}"
    except InvalidOperation:
        return text
