"""Other versions of records: what people correct, and what stood there before."""

import numpy as np
import polars as pl

from simulator.habits import DAY, Ints, event_text
from simulator.supervision.issues import office_hours
from simulator.supervision.life import priced
from simulator.supervision.schema import SUPERVISION
from simulator.supervision.totals import CUT_OFF
from simulator.tables import Table


def earlier_version(frame: pl.DataFrame, dataset: str, seconds: int) -> pl.DataFrame:
    """What the rows were ``seconds`` before they were last changed: by another person, of another kind."""
    table = SUPERVISION.table(dataset)
    before = (
        pl.col(table.cursor).str.to_datetime("%Y%m%d%H%M%S") - pl.duration(seconds=seconds)
    ).dt.strftime("%Y%m%d%H%M%S")  # fmt: skip
    other = {
        "issue_event": {"HANDLER_NAME": pl.lit("某某某")},
        "issue_outcome": {"RESPONSIBLE_KIND": pl.lit("1")},
    }
    return frame.with_columns(before.alias(table.cursor), **other.get(dataset, {}))


def corrected(rng: np.random.Generator, table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """Change what people correct; nothing that a figure counts.

    Events move within their day, issues get another title or department, outcomes another responsible kind and, after
    the cut-off, another amount.
    """
    if frame.is_empty():
        return frame
    match table.dataset:
        case "issue_event":
            return frame.with_columns(EVENT_TIME=_another_time(rng, frame))
        case "issue_outcome":
            later = pl.col("OUTCOME_TIME").str.slice(0, 8) > CUT_OFF
            changed = frame.with_columns(
                RESPONSIBLE_KIND=pl.when(pl.col("RESPONSIBLE_KIND") == "1").then(pl.lit("2")).otherwise(pl.lit("1")),
                _milli=pl.when(later).then(pl.col("_milli") // 1000 * 1040).otherwise("_milli"),
            )
            return priced(changed)
        case "issue":
            turn = pl.int_range(pl.len()) % 2 == 0
            return frame.with_columns(
                TITLE=pl.when(turn).then(pl.col("TITLE") + "（更正）").otherwise("TITLE"),
                LEAD_DEPT=pl.when(turn).then("LEAD_DEPT").otherwise(pl.lit("营商环境建设局")),
            )
    return frame.with_columns(BATCH_NAME=pl.col("BATCH_NAME").str.strip_suffix("（调整）") + "（调整）")


def _another_time(rng: np.random.Generator, frame: pl.DataFrame) -> pl.Series:
    """Another time of the same day, as the node writes times."""
    day: Ints = frame["EVENT_TIME"].str.slice(0, 8).str.to_date("%Y%m%d").cast(pl.Int64).to_numpy()
    return event_text(day * DAY + office_hours(rng, frame.height), frame["_node"].to_numpy().astype(np.int64))
