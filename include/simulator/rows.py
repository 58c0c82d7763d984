"""Rows of the books made from arrays: national columns in their order, then the columns of the books."""

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import polars as pl

from simulator.books import BOOK_COLUMNS, number_of
from simulator.habits import Bools, Ints, flag_text, seconds_text
from simulator.tables import Table


def book_rows(
    table: Table,
    night: date,
    columns: Mapping[str, pl.Series | Sequence[str]],
    *,
    node: Ints,
    stamp: Ints,
    kind: str = "new",
    type_code: pl.Series | str = "",
    milli: Ints | pl.Series | None = None,
    deleted: Bools | None = None,
    number: Ints | None = None,
) -> pl.DataFrame:
    """Good rows that ``night`` delivers.

    Args:
        columns: every national column as text (null: nothing written), but the cursor and the deletion flag.
        node: node index per row. stamp: cursor in seconds since 1970 of Shanghai's own time.
        kind: why the row is there (new, late_parent, correction, resent, tombstone, ...).
        type_code: class of the record in the truth. milli: amount in thousandths of a yuan (counts: times 1000).
        number: any running number (column ``_p``), 0 unless given.
    """
    count = len(node)
    gone = np.zeros(count, dtype=np.bool_) if deleted is None else deleted
    period = pl.Series(np.full(count, number_of(night)))
    own = {
        table.cursor: seconds_text(stamp),
        table.deleted: flag_text(gone, node),
        "_p": pl.Series(np.zeros(count, dtype=np.int64) if number is None else number),
        "_node": pl.Series(node),
        "_type": type_code if isinstance(type_code, pl.Series) else pl.Series([type_code]).new_from_index(0, count),
        "_milli": pl.Series([None], dtype=pl.Int64).new_from_index(0, count) if milli is None else pl.Series(milli),
        "_deleted": pl.Series(gone),
        "_kind": pl.Series([kind]).new_from_index(0, count),
        "_bad": pl.Series([None], dtype=pl.String).new_from_index(0, count),
        "_night": period,
        "_period": period,
        "_rev": pl.Series(np.ones(count, dtype=np.int8)),
    }
    national = {name: pl.Series(name, values, dtype=pl.String) for name, values in columns.items()}
    frame = pl.DataFrame({**national, **{name: values.alias(name) for name, values in own.items()}})
    return frame.select(*table.columns, *(pl.col(name).cast(kind_) for name, kind_ in BOOK_COLUMNS.items()))


def no_rows(table: Table) -> pl.DataFrame:
    """An empty delivery of a table."""
    return pl.DataFrame(schema={**dict.fromkeys(table.columns, pl.String), **BOOK_COLUMNS})
