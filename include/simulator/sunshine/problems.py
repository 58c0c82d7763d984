"""Problems of villages that are tracked until they are solved: public ones, and potential ones."""

from datetime import date

import numpy as np
import polars as pl

from simulator.books import BOOK_COLUMNS, FIRST_NIGHT, Books, date_of, day_of, no_rows
from simulator.habits import DAY, Ints, time_text
from simulator.source import Context
from simulator.sunshine.faults import broken_by_village
from simulator.sunshine.schema import TRACKED_PROBLEM
from simulator.sunshine.sizes import CUT_OFF, GROWTH, PUBLISHED, Villages, totals, villages
from simulator.sunshine.writing import is_short, written
from simulator.versions import (
    back_dated,
    booked,
    present,
    revived,
    today,
    touched,
    usual_changes,
)

START, CUT, LAST = day_of(date(2021, 3, 1)), day_of(date_of(int(CUT_OFF))), day_of(FIRST_NIGHT)
OPEN_SHARE = 0.012
UNCOUNTED = pl.col("RESOLVE_TIME").is_null() | (pl.col("RESOLVE_TIME").str.slice(0, 8) > CUT_OFF)
RESOLVED_A_NIGHT, NEW_A_NIGHT = 0.05, 170


def problem_history(context: Context) -> tuple[pl.DataFrame, int]:
    """All up to the first night, and how many there are."""
    places, wanted = villages(context.seed, tiny=context.is_tiny), totals(context)
    rng = context.rng("problems")
    frames, first = [], 1
    for kind, counted in (("1", wanted.public_problems), ("2", wanted.potential_problems)):
        later, still_open = max(6, int(counted * GROWTH)), max(6, int(counted * OPEN_SHARE))
        count = counted + later + still_open
        resolved = np.concatenate(
            [
                _moments(rng, START + 30, CUT, counted),
                _moments(rng, CUT + 1, LAST, later),
                np.full(still_open, 2**40),
            ]
        )
        lasted = np.clip(np.exp(rng.normal(13.5, 0.9, count)), 3600, 28 * DAY).astype(np.int64)
        lately = _moments(rng, LAST - 300, LAST - 1, count)
        opened = np.where(resolved < 2**40, resolved - lasted, lately)
        frames.append(_frame(rng, places, kind, first, opened, resolved, (LAST + 1) * DAY - 3600))
        first += count
    good = booked(pl.concat(frames).sort("VILLAGE_CODE", maintain_order=True), TRACKED_PROBLEM, FIRST_NIGHT)
    gone = pl.Series(rng.random(good.height) < 0.02) & good.select(UNCOUNTED).to_series()
    good = booked(
        good.with_columns(_deleted=gone, _kind=pl.when(gone).then(pl.lit("tombstone")).otherwise("_kind")),
        TRACKED_PROBLEM,
        FIRST_NIGHT,
    )
    bad = _bad(rng, good, max(10, good.height // 5000), first_serial=1)
    return pl.concat([good, bad]), first


def problem_night(
    context: Context, books: Books, rng: np.random.Generator, night: date, first: int
) -> tuple[pl.DataFrame, int]:
    """New ones, open ones that are solved, corrected or deleted; none that was solved by the cut-off changes."""
    places, wanted = villages(context.seed, tiny=context.is_tiny), totals(context)
    share = wanted.potential_problems / PUBLISHED.potential_problems
    free = present(books, "tracked_problem", ["RESOLVE_TIME"], where=~pl.col("_deleted") & UNCOUNTED)
    free = free[rng.permutation(free.height)]
    waiting = pl.col("RESOLVE_TIME").is_null()
    standing, solved = free.filter(waiting), free.filter(~waiting)
    step = max(2, int(standing.height * RESOLVED_A_NIGHT))
    few = max(1, int(20 * share))
    parts = {
        "progress": standing[:step],
        "correction": pl.concat([standing[step : step + 2 * few], solved[:few]]),
        "tombstone": solved[few : few + max(1, few // 5)],
    }
    moved = {
        kind: touched(
            rng, TRACKED_PROBLEM, books.rows("tracked_problem", rows), night, kind, deleted=kind == "tombstone"
        )
        if rows.height
        else no_rows(TRACKED_PROBLEM)
        for kind, rows in parts.items()
    }
    moved["progress"] = _solved(rng, moved["progress"])
    other = pl.when(pl.col("PROBLEM_KIND") == "1").then(pl.lit("2")).otherwise(pl.lit("1"))
    moved["correction"] = moved["correction"].with_columns(PROBLEM_KIND=other, _type=other)
    busy = pl.concat(list(moved.values()))
    again = usual_changes(books, rng, TRACKED_PROBLEM, busy, night, {"resent": max(2, int(200 * share))})["resent"]
    count = max(4, int(NEW_A_NIGHT * share))
    opened = np.sort(today(rng, night, count)) - 3600
    never = np.full(count, 2**40)
    fresh = [
        _frame(rng, places, kind, start, opened[part], never[part], (day_of(night) + 1) * DAY - 60)
        for kind, part, start in (
            ("1", slice(0, count // 4), first),
            ("2", slice(count // 4, count), first + count // 4),
        )
    ]
    busy = pl.concat([busy, again, booked(pl.concat(fresh), TRACKED_PROBLEM, night)])
    back = revived(books, rng, TRACKED_PROBLEM, busy, night, 1, pl.lit(value=True))
    rows = pl.concat([busy, back])
    bad = _bad(rng, rows, 2, 10_000 + (day_of(night) - LAST) * 11)
    return pl.concat([back_dated(books, rng, TRACKED_PROBLEM, rows), bad]), first + count


def _moments(rng: np.random.Generator, first: int, last: int, count: int) -> Ints:
    return rng.integers(first, last + 1, count) * DAY + rng.integers(8 * 3600, 18 * 3600, count)


def _frame(
    rng: np.random.Generator, places: Villages, kind: str, first: int, opened: Ints, resolved: Ints, now: int
) -> pl.DataFrame:
    """Problems numbered from ``first``; ``resolved`` beyond ``now`` is still open."""
    count = len(opened)
    village = rng.choice(len(places), count, p=places.share)
    node = places.node[village]
    short = is_short(node, opened)
    known = resolved <= now
    end = written(np.where(known, resolved, opened), short)
    code = places.code.gather(pl.Series(village))
    number = pl.Series(np.arange(first, first + count)).cast(pl.String).str.zfill(7)
    stamp = np.minimum(np.where(known, resolved, opened) + rng.integers(60, 3 * 3600, count), now)
    return pl.DataFrame(
        {
            "PROBLEM_ID": pl.select(pl.concat_str(code, pl.lit(kind), number)).to_series(),
            "VILLAGE_CODE": code,
            "PROBLEM_KIND": pl.Series([kind]).new_from_index(0, count),
            "OPEN_TIME": written(opened, short),
            "RESOLVE_TIME": pl.select(pl.when(pl.lit(pl.Series(known))).then(pl.lit(end))).to_series(),
            "DATA_TIMESTAMP": time_text(stamp),
            "_p": pl.Series(village),
            "_node": pl.Series(node.astype(np.int16)),
            "_type": pl.Series([kind]).new_from_index(0, count),
        }
    )


def _solved(rng: np.random.Generator, rows: pl.DataFrame) -> pl.DataFrame:
    """Solved today, written as the opening was."""
    back = pl.lit(pl.Series(rng.integers(60, 3000, rows.height)))
    moment = pl.col("DATA_TIMESTAMP").str.to_datetime("%Y%m%d%H%M%S") - pl.duration(seconds=back)
    text = moment.dt.strftime("%Y%m%d%H%M%S").str.slice(0, pl.col("OPEN_TIME").str.len_chars())
    return rows.with_columns(RESOLVE_TIME=text)


def _bad(rng: np.random.Generator, good: pl.DataFrame, count: int, first_serial: int) -> pl.DataFrame:
    """Rows that break the contract, with numbers of their own (kind 9)."""
    able = good.filter(~pl.col("_deleted") & (pl.col("_kind") == "new"))
    models = able[rng.permutation(able.height)[:count]].select(*TRACKED_PROBLEM.columns, *BOOK_COLUMNS)
    return broken_by_village(
        models,
        TRACKED_PROBLEM,
        lambda village, serial: f"{village}9{serial:07d}",
        first_serial,
        time="OPEN_TIME",
        code="PROBLEM_KIND",
    )
