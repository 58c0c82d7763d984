"""What a night does to the drops of file counties, whatever they are about: late ones, revised ones, repeated rows."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from simulator.books import Books, Frames, NightPlan, day_of, number_of
from simulator.fleet import Fleet
from simulator.habits import DAY, time_text
from simulator.tables import Table

Change = Callable[[np.random.Generator, Table, pl.DataFrame], pl.DataFrame]
ASKED = "asked"
"""Why a version is there that somebody asked for: nothing else happens to it."""
Revised = tuple[int, str, int]
"""node, dataset, period"""


@dataclass(frozen=True)
class Delivery:
    """What a night delivers, what its late nodes owe, and what it says about drops."""

    delivered: Frames
    held: Frames
    plan: NightPlan


def revised_tonight(books: Books, fleet: Fleet, rng: np.random.Generator, night: date) -> tuple[Revised, ...]:
    """The drop of last night that is sent again with other content. None in the first night after the history.

    Its node's records of this dataset must not change otherwise tonight.
    """
    before = number_of(night - timedelta(days=1))
    if before == books.nights()[0]:
        return ()
    found = []
    for table in books.system.tables:
        frame = _first_revision(books, fleet, table.dataset, before)
        good = pl.struct(table.key).filter(_may_change())
        counts = frame.group_by("_node").agg(
            rows=pl.len(), removable=(pl.col("_kind") == "new").sum(), good=good.n_unique()
        )
        for node, rows, removable, good_rows in counts.sort("_node").iter_rows():
            if removable >= 1 and good_rows >= 2:
                found.append((rows, node, table.dataset))
    if not found:
        return ()
    widest = [entry for entry in found if entry[0] >= max(found)[0] // 2]
    _, node, dataset = widest[int(rng.integers(0, len(widest)))]
    return ((node, dataset, before),)


def repeated_in_drops(
    fleet: Fleet, frame: pl.DataFrame, earlier: Callable[[pl.DataFrame], pl.DataFrame]
) -> pl.DataFrame:
    """In file counties: one new row twice, one correction with the version before it, which ``earlier`` makes."""
    mine = frame.filter(pl.col("_node").is_in(fleet.file_indexes))
    copies = mine.filter(pl.col("_kind") == "new")[:1].with_columns(_kind=pl.lit("copy"))
    older = earlier(mine.filter(pl.col("_kind") == "correction")[:1])
    return pl.concat([frame, copies, older.with_columns(_kind=pl.lit("older"))])


def in_drops(
    books: Books,
    fleet: Fleet,
    rng: np.random.Generator,
    night: date,
    delivered: Frames,
    revised: Sequence[Revised],
    correct: Change,
    punctual: Sequence[int] = (),
) -> Delivery:
    """Put aside what comes late, add what was late last night and what is revised.

    ``correct`` changes a row; ``punctual``: nodes that are not late tonight.
    """
    before = number_of(night - timedelta(days=1))
    late = _late_nodes(fleet, rng, night, delivered, {*punctual, *(node for node, _, _ in revised)})
    now: Frames = {}
    held: Frames = {}
    for table in books.system.tables:
        frame = delivered[table.dataset]
        held[table.dataset] = frame.filter(pl.col("_node").is_in(late))
        parts = [frame.filter(~pl.col("_node").is_in(late))]
        owed = books.held(table.dataset, before)
        if owed is not None:
            parts.append(owed.with_columns(_night=pl.lit(number_of(night), dtype=pl.Int32)))
        parts += [
            _second_revision(books, fleet, rng, table, node, period, night, correct)
            for node, dataset, period in revised
            if dataset == table.dataset
        ]
        now[table.dataset] = pl.concat(parts)
    return Delivery(now, held, NightPlan(late, books.plan(before).late_nodes, tuple(revised)))


def _late_nodes(
    fleet: Fleet, rng: np.random.Generator, night: date, delivered: Frames, busy: Collection[int]
) -> tuple[int, ...]:
    """One file county whose drops of today come tomorrow; the formats take turns."""
    kind = ("xlsx", "csv", "xml")[day_of(night) % 3]
    active = set(pl.concat([f.select("_node") for f in delivered.values()])["_node"].unique())
    able = [node.index for node in fleet.of(kind) if node.index in active and node.index not in busy]
    return (int(rng.choice(able)),) if able else ()


def _first_revision(books: Books, fleet: Fleet, dataset: str, period: int) -> pl.DataFrame:
    frame = books.delivered(dataset, period)
    return frame.filter(
        pl.col("_node").is_in(fleet.file_indexes) & (pl.col("_period") == period) & (pl.col("_rev") == 1)
    )


def _may_change() -> pl.Expr:
    """Rows that a revision may touch: good ones that nobody has asked for."""
    return pl.col("_bad").is_null() & (pl.col("_kind") != ASKED)


def _second_revision(
    books: Books,
    fleet: Fleet,
    rng: np.random.Generator,
    table: Table,
    node: int,
    period: int,
    night: date,
    correct: Change,
) -> pl.DataFrame:
    """One new record is gone, one is corrected this morning, the rest is as it was."""
    first = _first_revision(books, fleet, table.dataset, period).filter(pl.col("_node") == node)
    keys = list(table.key)
    gone = first.filter((pl.col("_kind") == "new") & pl.col("_bad").is_null())[:1]
    kept = first.join(gone.select(keys), on=keys, how="anti", maintain_order="left", nulls_equal=True)
    target = kept.filter(_may_change()).sort(table.cursor)[-1:]
    kept = kept.with_columns(_kind=pl.when(_may_change()).then(pl.lit("resent_drop")).otherwise("_kind"))
    stamp = np.array([day_of(night) * DAY + int(rng.integers(600, 6 * 3600))])
    corrected = correct(rng, table, target).with_columns(
        time_text(stamp).alias(table.cursor), _kind=pl.lit("correction")
    )
    return pl.concat([kept, corrected]).with_columns(
        _night=pl.lit(number_of(night), dtype=pl.Int32), _rev=pl.lit(2, dtype=pl.Int8)
    )
