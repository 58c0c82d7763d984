"""Versions of records as whole columns: what the generators of several systems have in common.

A version that a night delivers is a row of the books; these functions make new ones, and later versions of present
ones. Nothing here knows what a record is about.
"""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from simulator.books import BOOK_COLUMNS, FIRST_NIGHT, Books, day_of, no_rows, number_of
from simulator.fleet import Fleet
from simulator.habits import DAY, Ints, false_flag, time_text, true_flag
from simulator.tables import Table

FUTURE_CURSOR = "20991231235959"
IMPOSSIBLE_TIME = "20240230101010"
LATE_SECONDS = 5400


def booked(frame: pl.DataFrame, table: Table, night: date) -> pl.DataFrame:
    """Give rows the columns of the books that they lack, in the order of the books."""
    number = number_of(night)
    usual = {
        "_p": pl.lit(0), "_type": pl.lit(""), "_milli": pl.lit(None), "_deleted": pl.lit(value=False),
        "_kind": pl.lit("new"), "_bad": pl.lit(None),
    }  # fmt: skip
    return frame.with_columns(
        *(value.alias(name) for name, value in usual.items() if name not in frame.columns),
        IS_DELETE=pl.when(pl.col("_deleted")).then(true_flag()).otherwise(false_flag())
        if "_deleted" in frame.columns
        else false_flag(),
        _night=pl.lit(number), _period=pl.lit(number), _rev=pl.lit(1),
    ).select(*table.columns, *(pl.col(name).cast(kind) for name, kind in BOOK_COLUMNS.items()))  # fmt: skip


def time_or_null(seconds: Ints, known: npt.NDArray[np.bool_]) -> pl.Series:
    """Times as text, null where they are not known."""
    text = time_text(np.where(known, seconds, day_of(FIRST_NIGHT) * DAY))
    return pl.select(pl.when(pl.lit(pl.Series(known))).then(pl.lit(text))).to_series()


def today(rng: np.random.Generator, night: date, count: int) -> Ints:
    """Moments of the working day ``night``, in seconds since 1970."""
    return day_of(night) * DAY + rng.integers(7 * 3600, DAY - 600, count)


def file_of(books: Books, dataset: str, night: int) -> Path:
    return books.root / "books" / books.system.name / str(night) / f"{dataset}.parquet"


def present(
    books: Books, dataset: str, columns: Sequence[str] = (), upto: int | None = None, where: pl.Expr | None = None
) -> pl.DataFrame:
    """The last good version of each key with some of its ``columns``; only those ``where`` holds, tombstones included.

    Columns: key, cursor, ``columns``, book columns, ``_row`` place in the night's file.
    """
    return present_lazily(books, dataset, columns, upto, where).collect()


def present_lazily(
    books: Books, dataset: str, columns: Sequence[str] = (), upto: int | None = None, where: pl.Expr | None = None
) -> pl.LazyFrame:
    """As :func:`present`; versions of the base history are filtered while they are read, so that a few of millions
    cost little memory."""
    table = books.system.table(dataset)
    keys = list(table.key)
    wanted = list(dict.fromkeys([*keys, table.cursor, *columns, *BOOK_COLUMNS]))
    nights = [night for night in books.nights() if upto is None or night <= upto]

    def scan(night: int) -> pl.LazyFrame:
        rows = pl.scan_parquet(file_of(books, dataset, night), row_index_name="_row").select(
            *wanted, pl.col("_row").cast(pl.Int64)
        )
        return rows.filter(pl.col("_bad").is_null() & ~pl.col("_kind").is_in(["older", "copy"]))

    later = [scan(night).collect() for night in nights[1:]]
    base = scan(nights[0])
    if where is not None:
        base = base.filter(where)
    if not later:
        return base
    last = pl.concat(later).sort(table.cursor, maintain_order=True)
    last = last.unique(keys, keep="last", maintain_order=True)
    kept = base.join(last.lazy().select(keys), on=keys, how="anti", maintain_order="left")
    return pl.concat([kept, (last if where is None else last.filter(where)).lazy()])


def sampled(books: Books, rng: np.random.Generator, dataset: str, count: int) -> pl.DataFrame:
    """Whole live rows of about ``count`` records that stand as the base history delivered them, picked at random."""
    table = books.system.table(dataset)
    base, *later = books.nights()
    file = file_of(books, dataset, base)
    height = pl.scan_parquet(file).select(pl.len()).collect().item()
    chosen = np.sort(rng.choice(height, min(count, height // 2), replace=False))
    rows = pl.scan_parquet(file, row_index_name="_row").filter(pl.col("_row").is_in(pl.Series(chosen).implode()))
    rows = rows.filter(pl.col("_bad").is_null() & ~pl.col("_deleted")).drop("_row")
    found = rows.collect()
    changed = [books.delivered(dataset, night, list(table.key)) for night in later]
    if changed:
        found = found.join(pl.concat(changed), on=list(table.key), how="anti", maintain_order="left")
    return found[rng.permutation(found.height)]


def touched(
    rng: np.random.Generator, table: Table, rows: pl.DataFrame, night: date, kind: str, *, deleted: bool | None = None
) -> pl.DataFrame:
    """Whole ``rows`` again, with a cursor of ``night``; ``deleted`` says whether they are tombstones now."""
    number = number_of(night)
    gone = pl.col("_deleted") if deleted is None else pl.lit(deleted)
    return rows.with_columns(
        time_text(today(rng, night, rows.height)).alias(table.cursor),
        _deleted=gone,
        IS_DELETE=pl.when(gone).then(true_flag()).otherwise(false_flag()),
        _kind=pl.lit(kind),
        _bad=pl.lit(None, dtype=pl.String),
        _night=pl.lit(number, dtype=pl.Int32),
        _period=pl.lit(number, dtype=pl.Int32),
        _rev=pl.lit(1, dtype=pl.Int8),
    ).select(*table.columns, *BOOK_COLUMNS)  # fmt: skip


def with_late_cursors(
    books: Books, rng: np.random.Generator, fleet: Fleet, table: Table, new: pl.DataFrame, share: float = 0.01
) -> pl.DataFrame:
    """:func:`back_dated` for the nodes that are asked for windows; rows of those that send drops keep theirs."""
    queried = pl.col("_node").is_in(fleet.queried_indexes)
    return pl.concat([back_dated(books, rng, table, new.filter(queried), share), new.filter(~queried)])


def back_dated(
    books: Books, rng: np.random.Generator, table: Table, new: pl.DataFrame, share: float = 0.01
) -> pl.DataFrame:
    shown = pl.concat(
        [
            pl.scan_parquet(file_of(books, table.dataset, night))
            .filter(pl.col(table.cursor) != FUTURE_CURSOR)
            .group_by("_node")
            .agg(pl.col(table.cursor).max().alias("_shown"))
            for night in books.nights()
        ]
    ).group_by("_node").agg(pl.col("_shown").max()).collect()  # fmt: skip
    marked = new.join(shown, on="_node", how="left", maintain_order="left").with_row_index("_i")
    able = marked.filter((pl.col("_kind") == "new") & pl.col("_shown").is_not_null() & pl.col("_bad").is_null())
    chosen = able["_i"][: min(max(1, int(new.height * share)), able.height // 2)]
    back = pl.lit(pl.Series(rng.integers(60, LATE_SECONDS, new.height)))
    earlier = (pl.col("_shown").str.to_datetime("%Y%m%d%H%M%S") - pl.duration(seconds=back)).dt.strftime("%Y%m%d%H%M%S")
    is_late = pl.col("_i").is_in(chosen.implode())
    return marked.with_columns(
        pl.when(is_late).then(earlier).otherwise(table.cursor).alias(table.cursor),
        _kind=pl.when(is_late).then(pl.lit("late_cursor")).otherwise("_kind"),
    ).drop("_i", "_shown")


def broken(models: pl.DataFrame, table: Table, changes: Sequence[dict[str, str | None]]) -> pl.DataFrame:
    """A row beside each of ``models`` that breaks the contract: ``changes`` name its key, its fault and ``_bad``."""
    rows = [
        model | change | {"_kind": "bad", "_deleted": False}
        for model, change in zip(models.to_dicts(), changes, strict=False)
    ]
    return pl.DataFrame(rows, schema=models.schema).select(*table.columns, *BOOK_COLUMNS)


def usual_changes(
    books: Books,
    rng: np.random.Generator,
    table: Table,
    busy: pl.DataFrame,
    night: date,
    sizes: dict[str, int],
    free: pl.Expr | None = None,
) -> dict[str, pl.DataFrame]:
    """Live records of the base history again: ``sizes`` of each kind (correction, resent, tombstone), none of ``busy``.

    Corrections still say what the records said; the caller changes them. ``free``: those that may change at all, at
    least a third of all.
    """
    keys = list(table.key)
    wanted = sum(sizes.values())
    rows = sampled(books, rng, table.dataset, wanted + wanted // 8 + 4 if free is None else 4 * wanted + 40)
    rows = rows if free is None else rows.filter(free)
    rows = rows.join(busy.select(keys), on=keys, how="anti", maintain_order="left")
    found, place = {}, 0
    for kind, size in sizes.items():
        found[kind] = touched(
            rng, table, rows[place : place + size], night, kind, deleted=True if kind == "tombstone" else None
        )
        place += size
    return found


def revived(
    books: Books, rng: np.random.Generator, table: Table, busy: pl.DataFrame, night: date, count: int, where: pl.Expr
) -> pl.DataFrame:
    """A few deleted records alive again, of those ``where`` holds."""
    keys = list(table.key)
    gone = present(books, table.dataset, where=pl.col("_deleted") & where)
    gone = gone.join(busy.select(keys), on=keys, how="anti", maintain_order="left")
    picks = gone[rng.permutation(gone.height)[:count]]
    if picks.is_empty():
        return no_rows(table)
    return touched(rng, table, books.rows(table.dataset, picks), night, "revived", deleted=False)
