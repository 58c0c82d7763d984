"""Counts per village and month, which are all that leaves the platform of its users: no citizen rows."""

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl

from simulator.books import BOOK_COLUMNS, FIRST_NIGHT, Books, Frames, day_of, no_rows
from simulator.habits import DAY, Ints, time_text
from simulator.source import Context
from simulator.sunshine.schema import EVALUATION, MONTHLY, PETITION, REGISTRATION
from simulator.sunshine.sizes import GROWTH, LAST_COUNTED_MONTH, Villages, totals, villages
from simulator.tables import Table
from simulator.versions import (
    FUTURE_CURSOR,
    back_dated,
    booked,
    broken,
    present,
    revived,
    today,
    touched,
    usual_changes,
)

MONTHS = tuple(f"{year}{month:02d}" for year in (2022, 2023, 2024) for month in range(1, 13))[:32]
COUNTED = MONTHS.index(LAST_COUNTED_MONTH) + 1
LAST = day_of(FIRST_NIGHT)
REPORT_SHARE = 0.22
ACTIVE_SHARE = 0.06
BAD_ROWS, BAD_ROWS_A_NIGHT = 10, 2
FREE = pl.col("STAT_MONTH") > LAST_COUNTED_MONTH
MEASURES = {"registration": ("NEW_USERS",), "evaluation": ("PARTICIPANTS", "SATISFIED"),
            "petition": ("COMPLAINTS", "REPORTS")}  # fmt: skip
Values = Sequence[Ints]


def monthly_history(context: Context) -> Frames:
    """32 months of every village: the totals up to the cut-off are those of the seed, then about 1% more."""
    places, wanted = villages(context.seed, tiny=context.is_tiny), totals(context)
    rng = context.rng("months")
    users = _spread(rng, places, [(wanted.users, COUNTED), (int(wanted.users * GROWTH), 32 - COUNTED)])
    people = _spread(rng, places, [(wanted.participants, COUNTED), (int(wanted.participants * GROWTH), 32 - COUNTED)])
    before, after = wanted.petitions_before, wanted.petitions_after
    petitions = _spread(rng, places, [(before, 5), (int(before * 0.9), 7), (after, 5), (int(after * 2.7), 15)])
    reports = rng.binomial(petitions, REPORT_SHARE)
    values: dict[str, Values] = {
        "registration": (users,),
        "evaluation": (people, people - rng.binomial(people, wanted.dissatisfied)),
        "petition": (petitions - reports, reports),
    }
    village = np.repeat(np.arange(len(places)), 32)
    month = np.tile(np.arange(32), len(places))
    frames: Frames = {}
    for table in MONTHLY:
        good = _frame(table, places, village, pl.Series(MONTHS).gather(pl.Series(month)), values[table.dataset])
        good = booked(good.with_columns(DATA_TIMESTAMP=_stamps(rng, month)), table, FIRST_NIGHT)
        gone = pl.Series(rng.random(good.height) < 0.0002) & (good["STAT_MONTH"] > LAST_COUNTED_MONTH)
        good = booked(
            good.with_columns(_deleted=gone, _kind=pl.when(gone).then(pl.lit("tombstone")).otherwise("_kind")),
            table,
            FIRST_NIGHT,
        )
        frames[table.dataset] = pl.concat([good, _bad(rng, table, places, good, BAD_ROWS, first_serial=0)])
    return frames


def monthly_night(context: Context, books: Books, rng: np.random.Generator, night: date) -> Frames:
    """The current month goes on in some villages; months that no figure counts are corrected, a few deleted."""
    places = villages(context.seed, tiny=context.is_tiny)
    size = len(places) * 32 / 1000
    found: Frames = {}
    for table in MONTHLY:
        going_on = _going_on(books, rng, table, places, night)
        sizes = {"correction": max(3, int(size * 0.4)), "tombstone": max(1, int(size * 0.02))}
        current = pl.col("STAT_MONTH") == f"{night:%Y%m}"
        changed = usual_changes(books, rng, table, going_on, night, sizes, FREE & ~current)
        busy = pl.concat([going_on, *changed.values()])
        again = usual_changes(books, rng, table, busy, night, {"resent": max(2, int(size * 0.4))})["resent"]
        busy = pl.concat([busy, again])
        corrected = _increased(rng, table, changed["correction"], 3)
        back = revived(books, rng, table, busy, night, 1, FREE)
        rows = pl.concat([going_on, corrected, changed["tombstone"], again, back])
        serial = BAD_ROWS + (day_of(night) - LAST) * BAD_ROWS_A_NIGHT
        bad = _bad(rng, table, places, rows, BAD_ROWS_A_NIGHT, serial)
        found[table.dataset] = pl.concat([back_dated(books, rng, table, rows, share=0.005), bad])
    return found


def _going_on(books: Books, rng: np.random.Generator, table: Table, places: Villages, night: date) -> pl.DataFrame:
    """Rows of the current month of some villages: new ones at the beginning of a month, else greater counts."""
    chosen = np.sort(rng.permutation(len(places))[: max(10, int(len(places) * ACTIVE_SHARE))])
    code = places.code.gather(pl.Series(chosen))
    month = f"{night:%Y%m}"
    standing = present(books, table.dataset, where=pl.col("STAT_MONTH") == month)
    mine = standing.filter(pl.col("VILLAGE_CODE").is_in(code.implode()) & ~pl.col("_deleted"))
    grown = no_rows(table)
    if mine.height:
        rows = touched(rng, table, books.rows(table.dataset, mine), night, "progress")
        grown = _increased(rng, table, rows, 1)
    first = chosen[(~code.is_in(standing["VILLAGE_CODE"].implode())).to_numpy()]
    people = rng.poisson(1.0, len(first))
    values: Values = (people,) if table is REGISTRATION else (people, people)
    if table is PETITION:
        values = (rng.poisson(0.1, len(first)), rng.poisson(0.03, len(first)))
    fresh = _frame(table, places, first, pl.Series([month]).new_from_index(0, len(first)), values)
    fresh = fresh.with_columns(DATA_TIMESTAMP=time_text(today(rng, night, len(first))))
    return pl.concat([booked(fresh, table, night), grown])


def _increased(rng: np.random.Generator, table: Table, rows: pl.DataFrame, most: int) -> pl.DataFrame:
    """Counts that are up to ``most`` higher; those who take part are satisfied, one in a thousand is not."""
    more = rng.integers(1, most + 1, rows.height)
    if table is EVALUATION:
        steps: Values = (more, more - (rng.random(rows.height) < 0.001))
    elif table is PETITION:
        reports = rng.random(rows.height) < REPORT_SHARE
        steps = (np.where(reports, 0, 1), np.where(reports, 1, 0))
    else:
        steps = (more,)
    names = MEASURES[table.dataset]
    values = [rows[name].cast(pl.Int64) + pl.Series(step) for name, step in zip(names, steps, strict=True)]
    return rows.with_columns(
        *(value.cast(pl.String).alias(name) for name, value in zip(names, values, strict=True)),
        _milli=_measure(table, values) * 1000,
    )


def _measure(table: Table, values: Sequence[pl.Series]) -> pl.Series:
    """What the truth sums up: new users, participants, complaints and reports."""
    return values[0] + values[1] if table is PETITION else values[0]


def _frame(table: Table, places: Villages, village: Ints, month: pl.Series, values: Values) -> pl.DataFrame:
    series = [pl.Series(value, dtype=pl.Int64) for value in values]
    names = MEASURES[table.dataset]
    return pl.DataFrame(
        {
            "VILLAGE_CODE": places.code.gather(pl.Series(village, dtype=pl.Int64)),
            "STAT_MONTH": month,
            **{name: value.cast(pl.String) for name, value in zip(names, series, strict=True)},
            "_p": pl.Series(village, dtype=pl.Int64),
            "_node": pl.Series(np.zeros(len(village), dtype=np.int16)),
            "_milli": _measure(table, series) * 1000,
        }
    )


def _spread(rng: np.random.Generator, places: Villages, parts: Sequence[tuple[int, int]]) -> Ints:
    """Counts per village and month (villages × 32, flat): each (total, months) falls on the next months."""
    found = []
    for total, months in parts:
        weights = places.share[:, None] * rng.uniform(0.8, 1.2, months)[None, :]
        found.append(rng.multinomial(total, (weights / weights.sum()).ravel()).reshape(len(places), months))
    return np.concatenate(found, axis=1).ravel().astype(np.int64)


def _stamps(rng: np.random.Generator, month: Ints) -> pl.Series:
    """Months are settled in the first ten days of the next one; the current month was told lately."""
    starts = np.array([day_of(date(2022 + number // 12, number % 12 + 1, 1)) for number in range(1, 33)])
    day = np.where(month == 31, LAST - rng.integers(0, 8, len(month)), starts[month] + rng.integers(0, 10, len(month)))
    return time_text(day * DAY + rng.integers(8 * 3600, 20 * 3600, len(month)))


def _bad(
    rng: np.random.Generator, table: Table, places: Villages, good: pl.DataFrame, count: int, first_serial: int
) -> pl.DataFrame:
    """Rows that break the contract, of months before the first or far ahead, which no good row has."""
    models = good.filter(~pl.col("_deleted"))
    models = models[rng.permutation(models.height)[:count]]
    negative, changes = MEASURES[table.dataset][-1], []
    for serial in range(first_serial, first_serial + count):
        turn, place = divmod(serial, len(places))
        code, month = places.code[place], f"2021{12 - turn % 12:02d}"
        reason = ("negative_count", "future_month", "more_satisfied", "missing_key", "future_cursor", "foreign_region")[
            serial % 6
        ]
        if reason == "more_satisfied" and table is not EVALUATION:
            reason = "negative_count"
        change: dict[str, str | None] = {"VILLAGE_CODE": code, "STAT_MONTH": month, "_bad": reason}
        if reason == "negative_count":
            change[negative] = "-3"
        elif reason == "future_month":
            change["STAT_MONTH"] = f"2030{1 + turn % 12:02d}"
        elif reason == "more_satisfied":
            change |= {"PARTICIPANTS": "5", "SATISFIED": "7"}
        elif reason == "missing_key":
            change["STAT_MONTH"] = None
        elif reason == "future_cursor":
            change["DATA_TIMESTAMP"] = FUTURE_CURSOR
        else:
            change["VILLAGE_CODE"] = f"11{code[2:]}"
        changes.append(change)
    return broken(models.select(*table.columns, *BOOK_COLUMNS), table, changes)
