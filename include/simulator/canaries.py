"""Canaries: invented persons that stand nowhere else, planted in the sources to see where a person's data come out.

A province that is generated with them plants them in every night: in personal columns of good rows and of rows that
break their contract, and in broken rows also where no person belongs, such as in an amount. Whoever finds one of
:data:`MARKERS` in clear behind the sources has found a leak. Counts and amounts of the province stay as they are.
"""

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from simulator.books import Night
from simulator.tables import System, Table

NAME = "欧阳哨兵"
PHONE = "19983746501"
PERSON_ID = "21010219000231"
"""First 14 of 18 characters: of a day that no calendar has, so that no person has it."""
FREE_TEXT = "哨兵诉求：邻居昨夜又装修到两点"
MISPLACED = "哨兵面议，请找王哨兵 13964820517"

MARKERS = (NAME, PHONE, PERSON_ID, FREE_TEXT, "王哨兵", "13964820517")
"""What to look for."""

PERSONAL: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("trading", "bid"): {"PM_CODE": PERSON_ID},
    ("trading", "result"): {"PROJECT_LEAD": NAME, "PROJECT_LEAD_ID": PERSON_ID},
    ("supervision", "issue_event"): {"HANDLER_NAME": NAME},
    ("hotline", "work_order"): {"CALLER_NAME": NAME, "CALLER_PHONE": PHONE, "CONTENT": FREE_TEXT},
    ("hotline", "expert"): {"EXPERT_NAME": NAME},
}
"""(system, dataset) -> column -> what is planted there. A person's number goes on with four digits of its own."""

GOOD_ROWS = 2
"""Rows of each node and dataset in each night, of those that it has anew."""


def planted(system: System, night: Night) -> Night:
    """What a night delivers, with canaries."""
    tables = {table.dataset: table for table in system.tables}
    delivered = {name: _planted(system, tables[name], frame) for name, frame in night.delivered.items()}
    return replace(night, delivered=delivered)


def _planted(system: System, table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    if frame.is_empty():
        return frame
    keys = list(table.key)
    bad = pl.col("_bad").is_not_null()
    new = frame.filter(~bad & (pl.col("_kind") == "new"))
    chosen = new.group_by("_node", maintain_order=True).head(GOOD_ROWS).select(keys).unique()
    rows = frame.with_row_index("_i").join(
        chosen.with_columns(_chosen=pl.lit(value=True)), on=keys, how="left", maintain_order="left"
    )
    serial = (pl.col("_i") % 10_000).cast(pl.String).str.zfill(4)
    of_person = {
        column: pl.lit(value) + serial if value == PERSON_ID else pl.lit(value)
        for column, value in PERSONAL.get((system.name, table.dataset), {}).items()
    }
    misplaced = {table.event: "impossible_date"} | ({table.price: "not_a_number"} if table.price else {})
    return rows.with_columns(
        *(
            pl.when(bad | pl.col("_chosen")).then(value).otherwise(column).alias(column)
            for column, value in of_person.items()
        ),
        *(
            pl.when(pl.col("_bad") == reason).then(pl.lit(MISPLACED)).otherwise(column).alias(column)
            for column, reason in misplaced.items()
        ),
    ).select(frame.columns)
