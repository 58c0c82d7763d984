"""What the own binary COPY encoder saves against ADBC's bulk ingest: the same Arrow batches into the same table.

Rows like those of trading.lot, in memory as they come out of the row checks, are loaded by turns by either way into an
empty unlogged table without indexes, in one process. The ratios are of the medians; processor time is the client's.

    python tests/bench/bench_copy.py --rows 1000000 --pairs 3
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import adbc_driver_postgresql.dbapi as adbc
import psycopg
import pyarrow as pa
from bench_ingest import MAKE

from localpg import Cluster
from yingshang.ingest import binary_copy

BATCH_ROWS = 65_536


def main() -> None:
    """Run the pairs and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=3)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="yingshang-bench-"))
    cluster = Cluster(folder / "pg", settings={"fsync": "off"})
    try:
        cluster.start()
        dsn = cluster.superuser_dsn()
        batches = _rows(dsn, arguments.rows)
        ways: dict[str, Callable[[], None]] = {
            "adbc": lambda: _by_adbc(dsn, batches),
            "encoder": lambda: _by_encoder(dsn, batches),
        }
        costs: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for number in range(arguments.pairs):
            for name in sorted(ways, reverse=bool(number % 2)):
                with psycopg.connect(dsn) as connection:
                    connection.execute("truncate target")
                began, busy = time.perf_counter(), time.process_time()
                ways[name]()
                costs[name].append((time.perf_counter() - began, time.process_time() - busy))
            print(", ".join(f"{name} {seen[-1][0]:.2f} s (cpu {seen[-1][1]:.2f})" for name, seen in costs.items()))
        wall, cpu = (
            {name: statistics.median(one[place] for one in seen) for name, seen in costs.items()} for place in (0, 1)
        )
        print(
            f"{arguments.rows:,} rows, {arguments.pairs} pairs: encoder / adbc = {wall['encoder'] / wall['adbc']:.2f}"
            f" of time, {cpu['encoder'] / cpu['adbc']:.2f} of the client's processor time"
        )
    finally:
        cluster.destroy()
        shutil.rmtree(folder, ignore_errors=True)


def _rows(dsn: str, rows: int) -> list[pa.RecordBatch]:
    with psycopg.connect(dsn) as connection:
        connection.execute(MAKE.format(rows=rows))
        connection.execute("alter table bid_section alter contract_reckon_price type numeric(20, 6)")
        connection.execute("create unlogged table target (like bid_section)")
    with adbc.connect(dsn) as source, source.cursor() as cursor:
        cursor.execute("select * from bid_section")
        table = cursor.fetch_arrow_table()
    price = table.schema.get_field_index("contract_reckon_price")
    amounts = table.column(price).cast(pa.string()).cast(pa.decimal128(20, 6))
    table = table.set_column(price, "contract_reckon_price", amounts)
    large = pa.schema(
        [(one.name, pa.large_string() if pa.types.is_string(one.type) else one.type) for one in table.schema]
    )
    return table.cast(large).combine_chunks().to_batches(BATCH_ROWS)


def _by_adbc(dsn: str, batches: list[pa.RecordBatch]) -> None:
    with adbc.connect(dsn) as target, target.cursor() as cursor:
        cursor.adbc_ingest("target", pa.RecordBatchReader.from_batches(batches[0].schema, batches), mode="append")
        target.commit()


def _by_encoder(dsn: str, batches: list[pa.RecordBatch]) -> None:
    statement = "copy target from stdin (format binary)"
    with psycopg.connect(dsn) as target, target.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(binary_copy.HEADER)
        for batch in batches:
            copy.write(binary_copy.encode(batch))
        copy.write(binary_copy.TRAILER)


if __name__ == "__main__":
    main()
