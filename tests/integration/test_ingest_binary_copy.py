"""What is sent by binary COPY is what the server reads: every value, every null."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import polars as pl
import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localpg import Cluster
from yingshang.ingest.binary_copy import HEADER, TRAILER, encode

texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=20)
amounts = st.decimals(min_value=-(10**14) + 1, max_value=10**14 - 1, places=6, allow_nan=False)
BIG = [Decimal("99999999999999.999999"), Decimal("-9223372036854.775808"), Decimal("9223372036854.775807")]
LEAST_64 = Decimal(-(2**63)).scaleb(-6)
cells = st.tuples(
    st.none() | texts,
    st.none() | st.binary(max_size=20),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | amounts | st.sampled_from([Decimal(0), Decimal("-0.000001"), *BIG]),
    texts,
)
SCHEMA = {
    "t": pl.String,
    "b": pl.Binary,
    "i": pl.Int64,
    "d": pl.Decimal(20, 6),
    "u": pl.String,
}


@pytest.fixture(scope="module")
def table(pg_server: Cluster) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(pg_server.superuser_dsn()) as connection:
        connection.execute("create temp table sent (t text, b bytea, i bigint, d numeric(20,6), u text, n serial)")
        connection.commit()
        yield connection
        connection.rollback()


def batch_of(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row").rechunk()
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks().to_batches()[0]


def send(connection: psycopg.Connection[Any], *batches: pa.RecordBatch) -> list[tuple[Any, ...]]:
    connection.rollback()
    connection.execute("truncate sent")
    with connection.cursor().copy("copy sent (t, b, i, d, u) from stdin (format binary)") as copy:
        copy.write(HEADER)
        for batch in batches:
            copy.write(encode(batch))
        copy.write(TRAILER)
    return connection.execute("select t, b, i, d, u from sent order by n").fetchall()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(cells, min_size=1, max_size=12), cut=st.integers(0, 12))
def test_every_value_arrives(table: psycopg.Connection[Any], rows: list[tuple[Any, ...]], cut: int) -> None:
    whole = batch_of(rows)
    assert send(table, whole) == rows
    assert send(table, whole.slice(0, cut), whole.slice(cut)) == rows, "a slice of a batch is what it shows"


def test_amounts_keep_their_scale(table: psycopg.Connection[Any]) -> None:
    send(table, batch_of([("", b"", 0, Decimal("12.5"), "")]))
    assert table.execute("select d::text from sent").fetchone() == ("12.500000",)


def test_a_type_that_raw_does_not_have_is_refused() -> None:
    batch = pl.DataFrame({"a": [1.5]}).to_arrow().to_batches()[0]
    with pytest.raises(TypeError, match="double"):
        encode(batch)
