"""What a source has, by class: digests by bucket from PostgreSQL, every row from an API, drops that still lie there.

Each function fills the tables of a :class:`~yingshang.ingest.reconcile_compare.Comparison` and leaves a way to read the
rows that differ.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from psycopg import sql

from yingshang.connectors.base import Delivery, Request
from yingshang.errors import ManifestError, SourceInconsistent
from yingshang.ingest.batch import require_columns
from yingshang.ingest.checks import RowChecks
from yingshang.ingest.conform import conform
from yingshang.ingest.reconcile_compare import Comparison
from yingshang.ingest.reconcile_digests import (
    Shape,
    SourceColumns,
    bucket_of,
    digests_of_frame,
    md5_of,
    row_sum,
    shape_of,
    source_content,
    source_key,
    source_text,
)
from yingshang.ingest.rows import ROW, landed_rows
from yingshang.warehouse.reconciliations import Method

if TYPE_CHECKING:
    import polars as pl

    from yingshang.connectors.files import FilesSource
    from yingshang.connectors.http import HttpSource
    from yingshang.connectors.postgres import PostgresSource
    from yingshang.contracts import Contract
    from yingshang.secrets import KeyRing

KEY, DIGEST, REASONS, SEQ = "__k__", "__d__", "__reasons__", "__seq__"
"""What stands beside the columns of a landed row: its digests, why it is refused (null: it is not), seq of its drop."""
HASHES_AT_ONCE = 20_000
Wanted = Sequence[str]
"""Key digests."""


@dataclass(frozen=True)
class Observed:
    """What was seen.

    Attributes:
        shape: what was compared.
        source_rows: live rows that were compared.
        pending_rows: rows that the next night reads anyway.
        unverified_rows: live rows here of which nothing is there.
        bytes_moved: so far; ``bytes_full``: what a full re-read would move.
        clock: of the source, 14 digits.
        read: the rows of keys, in the form of :func:`checked`. Returns their bytes through ``moved``.
    """

    method: Method
    shape: Shape
    source_rows: int
    pending_rows: int
    unverified_rows: int
    bytes_moved: int
    bytes_full: int
    clock: str
    notes: tuple[str, ...]
    read: Callable[[Wanted], Iterator[pl.DataFrame]]
    moved: Callable[[], int]


def request_of(contract: Contract) -> Request:
    """Every row of a dataset."""
    return Request(contract.table, contract.column_names, contract.primary_key, contract.cursor)


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


def observe_digests(
    comparison: Comparison, source: PostgresSource, contract: Contract, checks: RowChecks, ring: KeyRing, as_of: str
) -> Observed:
    """Digests by bucket; of the buckets that differ, digests by row."""
    request = request_of(contract)
    types, spelled = source.columns(request)
    require_columns(types, contract, contract.name, "nothing was compared")
    shape, names = shape_of(contract, types), SourceColumns(spelled, types)
    comparison.take_here(shape)
    table = sql.Identifier(request.table.lower())
    deleted = contract.column(contract.delete_column)
    rows = sql.SQL(
        "(select {key} as k, coalesce({cursor}, '') as c, {content} as t,"
        " coalesce({deleted} = any({deletes}), false) as gone from {table} offset 0) s"
    ).format(
        key=source_key(shape, names),
        cursor=source_text(shape.cursor, names),
        content=source_content(shape, names),
        deleted=source_text(deleted, names),
        deletes=sql.Literal(list(contract.delete_values)),
        table=table,
    )
    compared = sql.SQL(
        "(select k, c, {digest} as d, octet_length(c || t) as n from {rows} where c <= {as_of} and not gone offset 0) x"
    ).format(digest=md5_of("t"), rows=rows, as_of=sql.Literal(as_of))

    moved = comparison.fill(
        "pending",
        ("k",),
        source.copy(request, sql.SQL("select k from {} where c > {}").format(rows, sql.Literal(as_of))),
    )
    pending = comparison.leave_pending()
    buckets = comparison.buckets()
    of_buckets = sql.SQL("select {bucket}, count(*), {sum}, sum(n) from {rows} group by 1").format(
        bucket=bucket_of("k", buckets), sum=row_sum("k", "c", "d"), rows=compared
    )
    moved += comparison.fill("there_bucket", ("bucket", "rows", "sum", "bytes"), source.copy(request, of_buckets))
    differing = comparison.differing_buckets(buckets)
    if differing:
        of_rows = sql.SQL("select k, c, d from {} where {} = any({})").format(
            compared, bucket_of("k", buckets), sql.Literal(differing)
        )
        moved += comparison.fill("there", ("k", "cursor", "d"), source.copy(request, of_rows))
    comparison.classify(within=(differing, buckets))
    there, size = comparison.bucket_totals()
    reading = _Reading(source, request, shape, names, contract, checks, ring)
    return Observed(
        "digests", shape, there, pending, 0, moved, size, source.clock, _left_out(shape), reading.rows,
        lambda: reading.moved,
    )  # fmt: skip


class _Reading:
    """Rows by key, out of the snapshot of a PostgreSQL source."""

    def __init__(
        self,
        source: PostgresSource,
        request: Request,
        shape: Shape,
        names: SourceColumns,
        contract: Contract,
        checks: RowChecks,
        ring: KeyRing,
    ) -> None:
        self._source, self._request, self._contract = source, request, contract
        self._key = source_key(shape, names)
        self._checks, self._ring = checks, ring
        self.moved = 0

    def rows(self, wanted: Wanted) -> Iterator[pl.DataFrame]:
        for start in range(0, len(wanted), HASHES_AT_ONCE):
            hashes = sql.Literal(list(wanted[start : start + HASHES_AT_ONCE]))
            with self._source.read(self._request, sql.SQL("{} = any({})").format(self._key, hashes)) as delivery:
                for frame, size in checked(delivery, self._contract, self._checks, self._ring):
                    self.moved += size
                    yield frame


# --- HTTP -------------------------------------------------------------------------------------------------------------


def observe_full(
    comparison: Comparison, source: HttpSource, contract: Contract, node_code: str, ring: KeyRing, as_of: str,
    spool: Spool,
) -> Observed:  # fmt: skip
    """Every row. They are kept in ``spool`` until it is known which differ."""
    before = source.bytes_read
    with source.read(request_of(contract)) as delivery:
        checks = RowChecks(contract, node_code, source.clock, is_text=True)
        for frame, _ in checked(delivery, contract, checks, ring):
            spool.add(frame)
        columns = tuple(delivery.columns)
    if spool.rows:
        require_columns(columns, contract, contract.name, "nothing was compared")
    shape = shape_of(contract, columns or contract.column_names)
    comparison.take_here(shape)
    _fill_there(comparison, spool, shape, as_of=as_of)
    pending = comparison.leave_pending()
    comparison.classify()
    size = source.bytes_read - before
    return Observed(
        "full", shape, comparison.rows_there(), pending, 0, size, size, source.clock, _left_out(shape), spool.of_keys,
        lambda: 0,
    )  # fmt: skip


# --- drops ------------------------------------------------------------------------------------------------------------


def observe_drops(
    comparison: Comparison, folder: FilesSource, contract: Contract, node_code: str, ring: KeyRing, spool: Spool
) -> Observed:
    """Every drop that is visible here and still lies there."""
    outbox = folder.outbox(contract.table)
    admitted = comparison.admitted_drops()
    before = folder.bytes_read
    notes: list[str] = list(outbox.problems)
    clock, rows, pending = "", 0, 0
    request = request_of(contract)
    present: set[str] = set()
    for drop in outbox.drops:
        seq = admitted.pop(drop.identity, None)
        if seq is None:
            pending += drop.rows if drop.period not in {period for period, _ in admitted} else 0
            continue
        clock = max(clock, drop.created)
        checks = RowChecks(contract, node_code, drop.created, is_text=True)
        try:
            with folder.read(
                drop, request, delete_column=contract.delete_column, delete_value=contract.delete_values[0]
            ) as delivery:
                for frame, _ in checked(delivery, contract, checks, ring):
                    good = frame.filter(frame[REASONS].is_null())
                    spool.add(_with_seq(good, seq))
                present |= set(delivery.columns)
        except (ManifestError, SourceInconsistent) as error:
            notes.append(f"the drop of {drop.period} is not what was taken in: {error}")
            continue
        rows += drop.rows
    if not clock:
        clock = max((drop.created for drop in outbox.drops), default="")
    gone = sorted({period for period, _ in admitted})
    if gone:
        shown = f"{gone[0]} to {gone[-1]}" if len(gone) > 1 else gone[0]
        notes.append(f"{len(gone)} drops that were taken in no longer lie there ({shown}): they cannot be compared")
    shape = shape_of(contract, present or contract.column_names)
    comparison.take_here(shape)
    _fill_there(comparison, spool, shape)
    comparison.classify(of_drops=True)
    size = folder.bytes_read - before
    return Observed(
        "drops", shape, rows, pending, comparison.unverified(), size, size, clock, (*notes, *_left_out(shape)),
        spool.of_keys, lambda: 0,
    )  # fmt: skip


def _with_seq(frame: pl.DataFrame, seq: int) -> pl.DataFrame:
    import polars as pl

    return frame.with_columns(pl.lit(seq, pl.Int64).alias(SEQ))


# --- shared -----------------------------------------------------------------------------------------------------------


def checked(
    delivery: Delivery, contract: Contract, checks: RowChecks, ring: KeyRing
) -> Iterator[tuple[pl.DataFrame, int]]:
    """The rows of a delivery in the form of the raw table (batch 0) with REASONS and SEQ (null), and their bytes.

    Raises:
        SourceInconsistent: the source's own count is not the number of its rows.
    """
    import polars as pl

    count = 0
    for piece in delivery.batches:
        frame = conform(piece, contract).with_row_index(ROW, offset=count + 1).with_columns(pl.col(ROW).cast(pl.Int64))
        count += frame.height
        verdict = checks.part(frame)
        for rows, reasons in ((verdict.good, None), (verdict.bad, verdict.reasons)):
            if rows.height:
                yield (
                    landed_rows(rows, contract, 0, ring).with_columns(
                        pl.Series(REASONS, reasons or [None] * rows.height, pl.List(pl.String)),
                        pl.lit(None, pl.Int64).alias(SEQ),
                    ),
                    piece.nbytes if reasons is None else 0,
                )
    if count != delivery.announced:
        raise SourceInconsistent(
            f"{contract.name}: the source counts {delivery.announced} rows, delivered were {count}:"
            " nothing was compared"
        )


class Spool:
    """Landed rows in a temporary file without a name, until it is known which of them are wanted."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="yingshang-reconcile-")  # noqa: SIM115 - closed by close
        self._contract: Contract | None = None
        self._shape: Shape | None = None
        self._frames = 0
        self.rows = 0

    def close(self) -> None:
        self._file.close()

    def add(self, frame: pl.DataFrame) -> None:
        data = frame.write_ipc(None, compression="lz4").getvalue()
        self._file.write(len(data).to_bytes(8, "big") + data)
        self._frames += 1
        self.rows += frame.height

    def digested(self, shape: Shape) -> Iterator[pl.DataFrame]:
        """Everything, with the columns KEY and DIGEST."""
        import polars as pl

        self._shape = shape
        key, digest = digests_of_frame(shape)
        self._file.seek(0)
        for _ in range(self._frames):
            size = int.from_bytes(self._file.read(8), "big")
            yield pl.read_ipc(self._file.read(size)).with_columns(key.alias(KEY), digest.alias(DIGEST))

    def of_keys(self, wanted: Wanted) -> Iterator[pl.DataFrame]:
        """The rows of keys."""
        import polars as pl

        assert self._shape is not None  # noqa: S101 - digested before
        keys = pl.DataFrame({KEY: list(wanted)}, schema={KEY: pl.String})
        for frame in self.digested(self._shape):
            yield frame.join(keys, on=KEY, how="semi")


def _fill_there(comparison: Comparison, spool: Spool, shape: Shape, *, as_of: str | None = None) -> None:
    """Digests of what was read: of live rows up to ``as_of``; later ones are pending. Without it, of all rows."""
    import polars as pl

    contract = shape.contract
    cursor = (
        pl.col(shape.cursor.raw_name).fill_null("").str.replace_all("[^0-9]", "?")
    )  # a broken one, in a line of COPY
    is_gone = pl.col(contract.delete_column.lower()).is_in(list(contract.delete_values)).fill_null(value=False)
    is_pending = pl.lit(value=False) if as_of is None else cursor > as_of
    is_left_out = pl.lit(value=False) if as_of is None else is_gone

    def lines(which: pl.Expr, *columns: pl.Expr) -> Iterator[bytes]:
        for frame in spool.digested(shape):
            text = (
                frame.filter(which)
                .select(*columns)
                .write_csv(include_header=False, separator="\t", null_value="\\N", quote_style="never")
            )
            yield text.encode()

    key, digest = pl.col(KEY), pl.col(DIGEST)
    comparison.fill("pending", ("k",), lines(is_pending, key))
    comparison.fill(
        "there",
        ("k", "cursor", "d", "seq", "n"),
        lines(~is_pending & ~is_left_out, key, cursor.alias("c"), digest, pl.col(SEQ), pl.col(ROW)),
    )


def _left_out(shape: Shape) -> tuple[str, ...]:
    """A note of the columns that the source does not deliver."""
    known = {*(one.name for one in shape.columns), shape.contract.cursor, *shape.contract.personal_columns}
    missing = [name for name in shape.contract.column_names if name not in known]
    return (f"not delivered, so not compared: {', '.join(missing)}",) if missing else ()
