"""From what a connector delivers to the kinds of the contract, whole columns at a time.

First everything is text (an empty text is an absent value), then integers and amounts are cast. What cannot be cast
becomes null in the typed column, which the row checks see, since the text is not null.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from yingshang.connectors.base import MALFORMED

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from yingshang.contracts import Contract
    from yingshang.contracts.model import Kind

TYPED = "__typed__"
"""Prefix of the cast columns in a conformed frame."""
_SHORTEST, _PLAIN = "__shortest__", "__plain__"
_PATTERNS = {
    "decimal": r"^[+-]?[0-9]{1,14}(?:\.[0-9]{1,6}0*|\.)?$",
    "integer": r"^[+-]?[0-9]{1,19}(?:\.0*)?$",
}
_EXPONENT = r"^[+-]?[0-9]+(?:\.[0-9]*)?[eE][+-]?[0-9]{1,3}$"


def conform(batch: pa.RecordBatch, contract: Contract) -> pl.DataFrame:
    """All columns of the batch as text, those of the contract that it lacks as nulls, and the typed columns."""
    import polars as pl

    frame = pl.from_arrow(batch)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - of a record batch
    if any(kind != pl.String for kind in frame.dtypes):
        frame = frame.select(_as_text(name, kind) for name, kind in frame.schema.items())
    numbers = [column for column in contract.columns if column.kind in ("decimal", "integer") and not column.pii]
    seen = frame.select(
        *(pl.col(name).str.len_bytes().min().alias(_SHORTEST + name) for name in frame.columns),
        *(
            pl.col(column.name).str.contains(_PATTERNS[column.kind]).all().alias(_PLAIN + column.name)
            for column in numbers
            if column.name in frame.columns
        ),
    ).row(0, named=True)
    has_empty = [name for name in frame.columns if seen[_SHORTEST + name] == 0]
    missing = [name for name in contract.column_names if name not in frame.columns]
    if has_empty or missing:
        frame = frame.with_columns(
            *(pl.when(pl.col(name) != "").then(pl.col(name)) for name in has_empty),
            *(pl.lit(None, dtype=pl.String).alias(name) for name in missing),
        )
    return frame.with_columns(
        *(_typed(frame, column.name, column.kind, is_plain=seen.get(_PLAIN + column.name, True)) for column in numbers),
        *_lengths(frame, contract),
    )


def _lengths(frame: pl.DataFrame, contract: Contract) -> list[pl.Expr]:
    """How many characters a free text has, in its place: nothing behind this point sees the words of a citizen.

    A line that cannot be parted into fields may hold them, too.
    """
    import polars as pl

    lengths: list[pl.Expr] = []
    for name in contract.free_text_columns:
        length = pl.col(name).str.len_chars()
        lengths += [length.cast(pl.String), length.cast(pl.Int64).alias(TYPED + name)]
    if lengths and MALFORMED in frame.columns:
        lengths.append(pl.format("{} characters", pl.col(MALFORMED).str.len_chars()).alias(MALFORMED))
    return lengths


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


def _typed(frame: pl.DataFrame, name: str, kind: Kind, *, is_plain: bool) -> pl.Expr:
    """Whole numbers, or exact decimals of at most 6 places; more are no amount (nothing is rounded in silence).

    Where all values are written plainly, nothing has to be done before the cast; else blanks go, and exponents (1.25E7,
    as some APIs write) are written out.
    """
    import polars as pl

    from yingshang.contracts.model import DECIMAL_PRECISION, DECIMAL_SCALE

    text = pl.col(name)
    if not is_plain:
        text = text.str.strip_chars()
        has_exponent = text.str.contains(_EXPONENT)
        if frame.select(has_exponent.any()).item():
            written_out = text.map_elements(_written_out, return_dtype=pl.String)
            text = pl.when(has_exponent).then(written_out).otherwise(text)
        text = pl.when(text.str.contains(_PATTERNS[kind])).then(text)
    if kind == "integer":
        number = text.str.replace(r"\.0*$", "").cast(pl.Int64, strict=False)
    else:
        number = text.cast(pl.Decimal(DECIMAL_PRECISION, DECIMAL_SCALE), strict=False)
    return number.alias(TYPED + name)


def _written_out(text: str) -> str:
    try:
        return f"{Decimal(text):f}"
    except InvalidOperation:
        return text
