"""Row digests that a source can compute with plain SQL, and that are the same here: docs/adr/0010-reconcile-digests.md.

A row is written as text: its columns in contract order, personal columns and the cursor left out, a value as ``V`` and
its canonical text, an absent one as ``N``, joined by U+001F; the digest is the first 16 hex digits of its MD5 in UTF-8.
The text is written in three places: by a source of PostgreSQL, in the warehouse from raw, and from landed frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    import polars as pl

    from yingshang.contracts import Contract
    from yingshang.contracts.model import Column

SEPARATOR = "\x1f"
DIGITS = 16
"""Hex digits of a digest: 64 bits."""
_BLANKS = " \t\r\n"
_DECIMAL = r"^[+-]?[0-9]{1,14}(\.[0-9]{0,6}0*)?$"
_INTEGER = r"^[+-]?[0-9]{1,18}(\.0*)?$"
_EXPONENT = r"^[+-]?[0-9]+(\.[0-9]*)?[eE][+-]?[0-9]{1,3}$"


@dataclass(frozen=True)
class Shape:
    """What is compared of a dataset: the columns that the contract has and the source delivers."""

    contract: Contract
    columns: tuple[Column, ...]

    @property
    def key(self) -> tuple[Column, ...]:
        return tuple(self.contract.column(name) for name in self.contract.primary_key)

    @property
    def cursor(self) -> Column:
        return self.contract.column(self.contract.cursor)


def shape_of(contract: Contract, present: Iterable[str]) -> Shape:
    """Non-personal columns that the source has. A column that it no longer has is drift, no difference of each row."""
    there = set(present)
    columns = (one for one in contract.columns if not one.is_token and one.name != contract.cursor)
    return Shape(contract, tuple(one for one in columns if one.name in there))


# --- from landed frames -----------------------------------------------------------------------------------------------


def digests_of_frame(shape: Shape) -> tuple[pl.Expr, pl.Expr]:
    """Key digest and row digest of landed rows (raw names)."""
    return _hashed(shape.key), _hashed(shape.columns)


def _hashed(columns: Iterable[Column]) -> pl.Expr:
    import polars as pl
    import polars_hash

    values = [(pl.lit("V") + pl.col(one.raw_name).cast(pl.String)).fill_null("N") for one in columns]
    return polars_hash.concat_str(values, separator=SEPARATOR).nchash.md5().str.slice(0, DIGITS)


# --- in the warehouse -------------------------------------------------------------------------------------------------


def raw_key(shape: Shape, alias: str) -> sql.Composed:
    """Key digest of a row of raw."""
    return _md5(_joined(_raw_text(column, alias) for column in shape.key))


def raw_row(shape: Shape, alias: str) -> sql.Composed:
    """Row digest of a row of raw."""
    return _md5(_joined(_raw_text(column, alias) for column in shape.columns))


def _raw_text(column: Column, alias: str) -> sql.Composable:
    return sql.SQL("{}::text").format(sql.Identifier(alias, column.raw_name))


# --- at a source of PostgreSQL ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SourceColumns:
    """How a source spells its columns, and their types in its own words, both by national upper-case name."""

    spelled: Mapping[str, str]
    types: Mapping[str, str]


def source_key(shape: Shape, source: SourceColumns) -> sql.Composed:
    """Key digest, at the source."""
    return _md5(_joined(source_text(column, source) for column in shape.key))


def source_content(shape: Shape, source: SourceColumns) -> sql.Composed:
    """The canonical text of a row, at the source."""
    return _joined(source_text(column, source) for column in shape.columns)


def source_text(column: Column, source: SourceColumns) -> sql.Composed:
    """A value as the warehouse would write it had it been loaded: see :mod:`yingshang.ingest.conform`."""
    text = sql.SQL("nullif({}, '')").format(
        _as_text(sql.Identifier(source.spelled[column.name]), source.types[column.name])
    )
    if column.is_free_text:
        return sql.SQL("char_length({})::text").format(text)
    if column.kind in ("decimal", "integer"):
        return _number(text, column.kind)
    return text


def _as_text(name: sql.Identifier, type_name: str) -> sql.Composed:
    match type_name.split("(")[0]:
        case "boolean":
            return sql.SQL("(case when {0} then '1' when not {0} then '0' end)").format(name)
        case "date":
            return sql.SQL("to_char({}, 'YYYYMMDD')").format(name)
        case "timestamp with time zone":
            return sql.SQL("to_char({} at time zone 'Asia/Shanghai', 'YYYYMMDDHH24MISS')").format(name)
        case kind if kind.startswith("timestamp"):
            return sql.SQL("to_char({}, 'YYYYMMDDHH24MISS')").format(name)
        case "bytea":
            return sql.SQL("encode({}, 'hex')").format(name)
        case "character":  # a cast would take its blanks away
            return sql.SQL("format('%s', {})").format(name)
        case _:
            return sql.SQL("{}::text").format(name)


def _number(text: sql.Composed, kind: str) -> sql.Composed:
    """A number in its canonical form; one that is none as it is, with a mark: the row checks refuse it anyway."""
    plain = sql.SQL("btrim({}, {})").format(text, sql.Literal(_BLANKS))
    target = sql.SQL("numeric(20,6)" if kind == "decimal" else "numeric(20,0)")
    whole = sql.SQL("" if kind == "decimal" else " and ({0})::numeric % 1 = 0").format(plain)
    limit = sql.Literal("1e14" if kind == "decimal" else "1e18")
    return sql.SQL(
        "(case when ({plain}) ~ {usual} then ({plain})::numeric::{target}::text"
        " when ({plain}) ~ {exponent} then case when abs(({plain})::numeric) < {limit}::numeric{whole}"
        " then ({plain})::numeric::{target}::text else '!' || ({text}) end"
        " else '!' || ({text}) end)"
    ).format(
        plain=plain,
        usual=sql.Literal(_DECIMAL if kind == "decimal" else _INTEGER),
        exponent=sql.Literal(_EXPONENT),
        limit=limit,
        whole=whole,
        target=target,
        text=text,
    )


# --- shared -----------------------------------------------------------------------------------------------------------


def bucket_of(key: str, buckets: int) -> sql.Composed:
    """Number of the bucket of a column that holds a key digest."""
    return sql.SQL("(('x' || left({}, 8))::bit(32)::bigint % {})").format(sql.Identifier(key), sql.Literal(buckets))


def row_sum(key: str, cursor: str, digest: str) -> sql.Composed:
    """The sum over rows by which buckets are compared: independent of their order, and of how often one is there."""
    text = sql.SQL("{} || {} || {}").format(*(sql.Identifier(name) for name in (key, cursor, digest)))
    return sql.SQL("sum(('x' || left(md5({}), 15))::bit(60)::bigint)").format(text)


def _joined(values: Iterable[sql.Composable]) -> sql.Composed:
    parts = [sql.SQL("coalesce('V' || {}, 'N')").format(value) for value in values]
    return sql.SQL("concat_ws({}, {})").format(sql.Literal(SEPARATOR), sql.SQL(", ").join(parts))


def _md5(text: sql.Composable) -> sql.Composed:
    """Digests do not depend on the encoding of a database."""
    return sql.SQL("left(md5(convert_to({}, 'UTF8')), {})").format(text, sql.Literal(DIGITS))


def md5_of(text: str) -> sql.Composed:
    """The row digest of a column that holds canonical texts."""
    return _md5(sql.Identifier(text))
