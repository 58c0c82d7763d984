"""Projects and lots as arrays, and rows of a source table made from them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from simulator.habits import DAY, Bools, Ints, amount_text, flag_text, time_text
from simulator.tables import Table
from simulator.trading.world import World


@dataclass(frozen=True)
class Projects:
    number: Ints
    node: Ints
    kind: Ints
    day: Ints
    created: Ints
    noticed: Ints
    opened: Ints
    code: pl.Series
    source: npt.NDArray[np.str_]
    type_code: npt.NDArray[np.str_]
    region: npt.NDArray[np.str_]
    tenderer: Ints
    subject: pl.Series
    held: Ints


@dataclass(frozen=True)
class Lots:
    project: Ints
    code: pl.Series
    deal: pl.Series
    name: pl.Series
    milli: Ints
    ended: Bools
    result: Bools
    contract: Bools
    performance: Bools
    resulted: Ints
    signed: Ints
    finished: Ints


def book_frame(
    world: World,
    table: Table,
    columns: dict[str, pl.Series],
    projects: Projects,
    project: Ints,
    stamp: Ints,
    kind: npt.NDArray[np.str_],
    milli: Ints | None = None,
    unit: Bools | None = None,
    priced: Bools | None = None,
) -> pl.DataFrame:
    """The national columns in their order, then those of the books."""
    node = projects.node[project]
    count = len(project)
    code = pl.Series(world.node_code[node])
    frame = pl.DataFrame(
        {name: series.alias(name) for name, series in columns.items()}
        | {
            "PLATFORM_CODE": pl.Series(world.platform[node]),
            "PUB_SERVICE_PLAT_CODE": "21" + code + "GG",
            "DATA_TIMESTAMP": time_text(stamp),
            "IS_DELETE": flag_text(np.zeros(count, dtype=np.bool_), node),
            "_p": pl.Series(projects.number[project]),
            "_node": pl.Series(node, dtype=pl.Int16),
            "_type": pl.Series(projects.type_code[project]),
            "_due": pl.Series(stamp // DAY, dtype=pl.Int32),
            "_kind": pl.Series(kind),
        }
    )
    if table.price is None or milli is None or unit is None:
        frame = frame.with_columns(pl.lit(None, dtype=pl.Int64).alias("_milli"))
    else:
        whole_cents = np.where(unit, milli // 10 * 10, milli)
        has_price = pl.lit(True) if priced is None else pl.lit(pl.Series(priced))
        frame = frame.with_columns(
            pl.when(has_price).then(pl.lit(pl.Series(whole_cents))).alias("_milli"),
            pl.when(pl.lit(pl.Series(unit))).then(pl.lit("1")).otherwise(pl.lit("0")).alias("PRICE_UNIT"),
        ).with_columns(amount_text(pl.col("_milli"), pl.col("PRICE_UNIT") == "1").alias(table.price))
    return frame.select(*table.columns, "_p", "_node", "_type", "_milli", "_due", "_kind")


def unless(mask: Bools, values: pl.Series) -> pl.Series:
    return pl.select(pl.when(pl.lit(pl.Series(~mask))).then(pl.lit(values))).to_series()


def office_hours(rng: np.random.Generator, count: int) -> Ints:
    return rng.integers(8 * 3600 + 1800, 17 * 3600 + 1800, count)


def lag(rng: np.random.Generator, count: int) -> Ints:
    """Seconds from an event to the record's cursor."""
    return rng.integers(600, 7 * 3600, count)


def rounded(rng: np.random.Generator, yuan: npt.NDArray[np.float64]) -> Ints:
    """Amounts people write: most in hundreds of yuan, many in cents, one of a hundred with half a cent."""
    cents = np.round(yuan * 100).astype(np.int64)
    habit = rng.random(len(yuan))
    milli = np.where(habit < 0.6, cents // 10_000 * 100_000, cents * 10)
    return np.where(habit > 0.99, cents * 10 + 5, milli)
