"""What a night may do to records that are there: the parts that all systems share."""

from datetime import date

import numpy as np
import polars as pl

from simulator.books import Books, day_of, number_of
from simulator.fleet import Fleet
from simulator.habits import DAY, false_flag, seconds_text, true_flag
from simulator.rows import no_rows
from simulator.tables import Table

LATE_SECONDS = 5400
FUTURE_CURSOR = "20991231235959"


def touched(
    books: Books, rng: np.random.Generator, table: Table, picks: pl.DataFrame, night: date, kind: str
) -> pl.DataFrame:
    """The picked versions (rows of ``books.latest``) as whole rows, with a cursor of ``night``, otherwise unchanged."""
    if picks.is_empty():
        return no_rows(table)
    number = number_of(night)
    stamp = day_of(night) * DAY + rng.integers(7 * 3600, DAY - 600, picks.height)
    return books.rows(table.dataset, picks).with_columns(
        seconds_text(stamp).alias(table.cursor),
        _kind=pl.lit(kind),
        _night=pl.lit(number, dtype=pl.Int32),
        _period=pl.lit(number, dtype=pl.Int32),
        _rev=pl.lit(1, dtype=pl.Int8),
    ).select(no_rows(table).columns)  # fmt: skip


def buried(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows as deletions."""
    return frame.with_columns(true_flag().alias(table.deleted), _deleted=pl.lit(value=True))


def revived(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows alive again."""
    return frame.with_columns(false_flag().alias(table.deleted), _deleted=pl.lit(value=False))


def back_dated(
    books: Books,
    rng: np.random.Generator,
    fleet: Fleet,
    table: Table,
    latest: pl.DataFrame,
    new: pl.DataFrame,
    share: float,
) -> pl.DataFrame:
    """Give a few new records of database and API nodes a cursor just before what the node had already shown.

    ``latest``: ``books.latest`` before this night. At least two records, if there are four, else ``share`` of them.
    """
    base = books.nights()[0]
    bad = pl.concat(
        [books.delivered(table.dataset, n, ["_node", "_bad", table.cursor]) for n in {base, *books.nights()[-3:]}]
    ).filter(pl.col("_bad").is_not_null() & (pl.col(table.cursor) != FUTURE_CURSOR))
    shown = (
        pl.concat([latest.select("_node", table.cursor), bad.select("_node", table.cursor)])
        .group_by("_node").agg(pl.col(table.cursor).max().alias("_shown"))
    )  # fmt: skip
    marked = new.join(shown, on="_node", how="left", maintain_order="left").with_row_index("_i")
    able = marked.filter(
        pl.col("_node").is_in(fleet.queried_indexes) & pl.col("_shown").is_not_null() & (pl.col("_kind") == "new")
    )
    count = min(max(2, int(new.height * share)), able.height // 2)
    chosen = able.sort("_shown", "_i", descending=[True, False])["_i"][:count]
    back = pl.lit(pl.Series(rng.integers(60, LATE_SECONDS, new.height)))
    late_cursor = (
        pl.col("_shown").str.to_datetime("%Y%m%d%H%M%S") - pl.duration(seconds=back)
    ).dt.strftime("%Y%m%d%H%M%S")  # fmt: skip
    is_late = pl.col("_i").is_in(chosen.implode())
    return marked.with_columns(
        pl.when(is_late).then(late_cursor).otherwise(table.cursor).alias(table.cursor),
        _kind=pl.when(is_late).then(pl.lit("late_cursor")).otherwise("_kind"),
    ).drop("_i", "_shown")
