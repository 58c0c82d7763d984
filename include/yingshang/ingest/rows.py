"""The rows as they are landed: contract columns, tokens in place of direct identifiers, batch, row number, digest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yingshang.ingest.conform import TYPED
from yingshang.ingest.tokens import token

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from yingshang.contracts import Contract
    from yingshang.secrets import KeyRing

ROW = "_row"
DIGEST = "_digest"
BATCH = "_batch_id"
SEPARATOR, ABSENT = "\x1f", "\x00"


def landed_rows(good: pl.DataFrame, contract: Contract, batch_id: int, ring: KeyRing) -> pl.DataFrame:
    """Checked rows (with a column ``_row``) in the form of the raw table."""
    import polars as pl

    return good.select(
        *(
            pl.when(pl.col(column.name).is_not_null())
            .then(token(pl.col(column.name), ring, str(column.pii)))
            .alias(column.raw_name)
            if column.is_token
            else pl.col(_source(contract, column.name)).alias(column.raw_name)
            for column in contract.columns
        ),
        pl.lit(batch_id, dtype=pl.Int64).alias(BATCH),
        pl.col(ROW),
        digest(contract).alias(DIGEST),
    )


def digest(contract: Contract, *, of_landed: bool = False) -> pl.Expr:
    """16 bytes: XXH3-128 (canonical, big-endian) of the values in contract order, personal columns left out.

    Values are joined by U+001F, an absent one is U+0000; amounts have six decimals, whole numbers no sign or zeros.
    ``of_landed``: for rows in the form of the raw table, else for checked ones.
    """
    import polars as pl
    import polars_hash

    values = [
        pl.col(column.raw_name if of_landed else _source(contract, column.name)).cast(pl.String).fill_null(ABSENT)
        for column in contract.columns
        if not column.is_token
    ]
    joined = polars_hash.concat_str(values, separator=SEPARATOR)
    return joined.nchash.xxh3_128(return_binary=True, byte_order="big")


def landing_schema(contract: Contract) -> pa.Schema:
    """Arrow schema of landed rows."""
    import pyarrow as pa

    kinds = {
        "string": pa.large_string(),
        "time": pa.large_string(),
        "integer": pa.int64(),
        "decimal": pa.decimal128(20, 6),
    }
    fields = [
        pa.field(column.raw_name, pa.int64() if column.is_free_text else kinds[column.kind])
        for column in contract.columns
    ]
    fields += [pa.field(BATCH, pa.int64()), pa.field(ROW, pa.int64()), pa.field(DIGEST, pa.large_binary())]
    return pa.schema(fields, metadata={"contract": contract.name, "contract_version": contract.version})


def to_arrow(frame: pl.DataFrame, schema: pa.Schema) -> list[pa.RecordBatch]:
    """Record batches of landed rows in the landing schema."""
    import polars as pl
    import pyarrow as pa

    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    return [pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in table.to_batches()]


def _source(contract: Contract, name: str) -> str:
    column = contract.column(name)
    return TYPED + name if column.kind in ("decimal", "integer") or column.is_free_text else name
