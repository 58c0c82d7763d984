"""Rows that break the contract: a few records of their own per province, so that no live key is in doubt."""

from collections import Counter

import numpy as np
import polars as pl

from simulator.fleet import Connector, all_nodes
from simulator.tables import Table
from simulator.versions import FUTURE_CURSOR

IMPOSSIBLE_TIME = "20240230101010"
NOT_A_NUMBER = ("面议", "一百万元整", "暂无")
REASONS: dict[Connector, tuple[str, ...]] = {
    "postgres": ("impossible_date", "missing_key", "missing_parent", "future_cursor", "foreign_region"),
    "http": ("impossible_date", "not_a_number", "missing_key", "missing_parent", "future_cursor", "foreign_region"),
    "csv": ("not_a_number", "impossible_date", "missing_key", "missing_parent", "future_cursor", "foreign_region"),
    "xlsx": ("not_a_number", "impossible_date", "missing_key", "missing_parent", "future_cursor", "foreign_region"),
    "xml": ("not_a_number", "impossible_date", "missing_key", "missing_parent", "future_cursor", "foreign_region"),
}


def broken_copies(
    rng: np.random.Generator, table: Table, models: pl.DataFrame, first_serial: int, used: Counter[str]
) -> pl.DataFrame:
    """A broken record beside each row of ``models``: its own key (numbers from ``first_serial``), one fault each.

    Faults that ``used`` has least of come first.
    """
    rows = []
    for serial, model in enumerate(models.to_dicts(), start=first_serial):
        reason = min(_possible(table, model), key=used.__getitem__)
        used[reason] += 1
        row = _with_own_key(table, model, serial)
        _break(rng, table, row, reason, serial)
        rows.append(row | {"_bad": reason, "_kind": "bad", "_deleted": False})
    return pl.DataFrame(rows, schema=models.schema)


def _possible(table: Table, model: dict[str, object]) -> list[str]:
    reasons = list(REASONS[all_nodes()[int(str(model["_node"]))].connector])
    if model["_milli"] is None and "not_a_number" in reasons:
        reasons.remove("not_a_number")
    if table.dataset == "project":
        reasons.remove("missing_parent")
    return reasons


def _with_own_key(table: Table, model: dict[str, object], serial: int) -> dict[str, object]:
    """Number the record in year 99, which no other record has."""
    old = str(model["TENDER_PROJECT_CODE"])
    project = f"{old[:7]}99{serial:08d}"
    row = dict(model)
    row["TENDER_PROJECT_CODE"] = project + "001"
    if "PROJECT_CODE" in table.columns:
        row["PROJECT_CODE"] = project
    if "BID_SECTION_CODE" in table.columns:
        row["BID_SECTION_CODE"] = project + "001001"
    if "URL" in table.columns:
        row["BID_SECTION_CODES"] = project + "001001"
        row["URL"] = f"https://ggzy.example.cn/{old[1:7]}/0/{serial:09d}.html"
    return row


def _break(rng: np.random.Generator, table: Table, row: dict[str, object], reason: str, serial: int) -> None:
    match reason:
        case "impossible_date":
            row[table.event] = IMPOSSIBLE_TIME
        case "missing_key":
            row[table.key[-1]] = None
        case "missing_parent":
            row["TENDER_PROJECT_CODE"] = None
        case "future_cursor":
            row[table.cursor] = FUTURE_CURSOR
        case "foreign_region":
            own = str(row["TENDER_PROJECT_CODE"])[1:7]
            other = next(n.code for n in all_nodes()[1 + int(rng.integers(0, 50)) :] if n.code != own)
            for column in ("PROJECT_CODE", "TENDER_PROJECT_CODE", "BID_SECTION_CODE"):
                if column in table.columns:
                    row[column] = str(row[column])[:1] + other + str(row[column])[7:]
        case "not_a_number" if table.price:
            row[table.price] = NOT_A_NUMBER[serial % len(NOT_A_NUMBER)]
