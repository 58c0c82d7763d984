"""Rows of villages that break the contract."""

from collections.abc import Callable

import polars as pl

from simulator.fleet import all_nodes
from simulator.tables import Table
from simulator.versions import FUTURE_CURSOR, IMPOSSIBLE_TIME, broken

REASONS = ("impossible_date", "missing_key", "future_cursor", "foreign_region", "bad_code")


def broken_by_village(
    models: pl.DataFrame, table: Table, key_of: Callable[[str, int], str], first_serial: int, *, time: str, code: str
) -> pl.DataFrame:
    """A row beside each of ``models`` with one fault, each of :data:`REASONS` in turn.

    Args:
        key_of: village code and serial number -> the row's own key.
        time: the column that gets an impossible time.
        code: the column that gets an unknown code.
    """
    (key,) = table.key
    faults = {
        "impossible_date": {time: IMPOSSIBLE_TIME},
        "missing_key": {key: None},
        "future_cursor": {"DATA_TIMESTAMP": FUTURE_CURSOR},
        "bad_code": {code: "9"},
    }
    changes: list[dict[str, str | None]] = []
    for serial, (index, own) in enumerate(models.select("_node", "VILLAGE_CODE").iter_rows(), start=first_serial):
        reason = REASONS[serial % len(REASONS)]
        village = f"{another_city(index)}{own[4:]}" if reason == "foreign_region" else own
        changes.append({key: key_of(village, serial), "VILLAGE_CODE": village, "_bad": reason} | faults.get(reason, {}))
    return broken(models, table, changes)


def another_city(index: int) -> str:
    """The first four digits of another city than the node's."""
    return next(n.code[:4] for n in all_nodes() if n.level == "city" and n.index != index)
