"""How a node writes values: amounts in yuan or 万元, dates long or short, flags 0/1 or F/T. Whole columns at a time.

Amounts are held in the books as whole thousandths of a yuan, so that no float ever rounds one.
"""

from datetime import date
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import polars as pl

from simulator.fleet import all_nodes

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
DAY = 86_400
HELD_ABOVE_MILLI = 3_000_000_000_000
_FIRST_DAY, _LAST_DAY = (int((date(year, 1, 1) - date(1970, 1, 1)).days) for year in (2019, 2035))


@lru_cache(maxsize=1)
def _nodes() -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int8], npt.NDArray[np.int8]]:
    """Per node: writes F/T; dates short 0 never 1 mixed 2 always; 万元 0 never 1 mixed 2 always."""
    levels = {"never": 0, "mixed": 1, "always": 2}
    nodes = all_nodes()
    return (
        np.array([node.flags == ("F", "T") for node in nodes]),
        np.array([levels[node.short_dates] for node in nodes], dtype=np.int8),
        np.array([levels[node.ten_thousands] for node in nodes], dtype=np.int8),
    )


def price_units(rng: np.random.Generator, node: Ints) -> Bools:
    """Whether each row's amount is in 万元."""
    habit = _nodes()[2][node]
    chosen: Bools = (habit == 2) | ((habit == 1) & (rng.random(len(node)) < 0.35))
    return chosen


def amount_text(milli: pl.Expr, in_ten_thousands: pl.Expr) -> pl.Expr:
    """Decimal text without trailing zeros. Amounts in 万元 must be whole cents."""
    return pl.when(in_ten_thousands).then(_decimal(milli // 10, 6)).otherwise(_decimal(milli, 3))


def _decimal(units: pl.Expr, places: int) -> pl.Expr:
    whole = (units // 10**places).cast(pl.String)
    part = (units % 10**places).cast(pl.String).str.zfill(places)
    return pl.concat_str(whole, pl.lit("."), part).str.strip_chars_end("0").str.strip_chars_end(".")


def time_text(seconds: Ints) -> pl.Series:
    """yyyyMMddHHmmss of seconds since 1970 in Shanghai's own time; years 2019 to 2034, else ValueError."""
    day, second = np.divmod(seconds, DAY)
    return pl.select(pl.concat_str(day_text(day), _texts()[1].gather(pl.Series(second)))).to_series()


def day_text(day: Ints) -> pl.Series:
    """yyyyMMdd of days since 1970; years 2019 to 2034, else ValueError."""
    if len(day) and not (day.min() >= _FIRST_DAY and day.max() < _LAST_DAY):
        raise ValueError("a day before 2019 or after 2034")
    return _texts()[0].gather(pl.Series(day - _FIRST_DAY))


@lru_cache(maxsize=1)
def _texts() -> tuple[pl.Series, pl.Series]:
    """Texts of all days and of all seconds of a day: looked up, since writing times out one by one is slow."""
    days = pl.Series(np.arange(_FIRST_DAY, _LAST_DAY), dtype=pl.Int32).cast(pl.Date).dt.strftime("%Y%m%d")
    seconds = pl.Series(np.arange(DAY) * 1000).cast(pl.Datetime("ms")).dt.strftime("%H%M%S")
    return days, seconds


def event_text(seconds: Ints, node: Ints) -> pl.Series:
    """A time as the node writes it: with the time of day, or the date alone."""
    habit = _nodes()[1][node]
    short = (habit == 2) | ((habit == 1) & ((seconds // 60) % 2 == 0))
    full = time_text(seconds)
    return pl.select(pl.when(pl.Series(short)).then(full.str.slice(0, 8)).otherwise(full)).to_series()


def flag_text(value: Bools, node: Ints) -> pl.Series:
    letters = _nodes()[0][node]
    return pl.Series(np.where(letters, np.where(value, "T", "F"), np.where(value, "1", "0")))


def true_flag() -> pl.Expr:
    """What the node in column ``_node`` writes for true."""
    letters = pl.Series(_nodes()[0])
    return pl.when(pl.lit(letters).gather(pl.col("_node").cast(pl.UInt32))).then(pl.lit("T")).otherwise(pl.lit("1"))


def false_flag() -> pl.Expr:
    letters = pl.Series(_nodes()[0])
    return pl.when(pl.lit(letters).gather(pl.col("_node").cast(pl.UInt32))).then(pl.lit("F")).otherwise(pl.lit("0"))
