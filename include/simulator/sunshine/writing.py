"""How a city writes the times of a record: all of them long, or all of them short."""

import numpy as np
import polars as pl

from simulator.fleet import all_nodes
from simulator.habits import Bools, Ints, time_text


def is_short(node: Ints, moment: Ints) -> Bools:
    """Whether a record's times are written yyyyMMdd: always, never, or by the minute in which it was entered."""
    habit = np.array([("never", "mixed", "always").index(n.short_dates) for n in all_nodes()])[node]
    found: Bools = (habit == 2) | ((habit == 1) & (moment // 60 % 2 == 0))
    return found


def written(seconds: Ints, short: Bools) -> pl.Series:
    """yyyyMMddHHmmss, or yyyyMMdd where ``short``."""
    full = time_text(seconds)
    if not short.any():
        return full
    return pl.select(pl.when(pl.lit(pl.Series(short))).then(full.str.slice(0, 8)).otherwise(full)).to_series()
