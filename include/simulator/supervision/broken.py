"""Rows of supervision that break the contract: records of their own, so that no live key is in doubt."""

from collections import Counter

import numpy as np
import polars as pl

from simulator.books import Frames
from simulator.fleet import Node, all_nodes
from simulator.source import Context
from simulator.supervision.schema import SUPERVISION
from simulator.tables import Table
from simulator.versions import FUTURE_CURSOR, IMPOSSIBLE_TIME, broken

NOT_A_NUMBER = ("若干", "面议", "一百万元整")
REASONS = {
    "batch": (),
    "issue": ("missing_key", "impossible_date", "future_cursor", "bad_pattern"),
    "issue_event": ("unknown_code", "missing_key", "impossible_date", "future_cursor", "foreign_region"),
    "issue_outcome": (
        "negative_amount", "negative_quantity", "unknown_code", "missing_key", "foreign_region", "not_a_number",
    ),
}  # fmt: skip


def broken_rows(context: Context, rng: np.random.Generator, delivered: Frames, count: int, first_serial: int) -> Frames:
    """``count`` broken records modelled on rows of ``delivered``, numbered from ``first_serial``.

    Faults that have been used least come first, so that the gravest occur every night.
    """
    nodes = {node.index: node for node in context.fleet.nodes}
    shares = {"issue": 0.2, "issue_event": 0.4, "issue_outcome": 0.4}
    found: Frames = {}
    serial = first_serial
    for dataset, share in shares.items():
        table = SUPERVISION.table(dataset)
        able = delivered[dataset].filter(pl.col("_bad").is_null() & ~pl.col("_deleted") & (pl.col("_rev") == 1))
        models = able[rng.permutation(able.height)][: max(1, round(share * count))]
        used: Counter[str] = Counter()
        changes = []
        for model in models.to_dicts():
            reason = min(_possible(table, nodes[int(model["_node"])], model), key=used.__getitem__)
            used[reason] += 1
            changes.append({"_bad": reason, **_own_key(table, model, serial)})
            changes[-1] |= _fault(table, {**model, **changes[-1]}, reason, serial)
            serial += 1
        found[dataset] = broken(models, table, changes)
    return found


def _possible(table: Table, node: Node, model: dict[str, object]) -> list[str]:
    reasons = list(REASONS[table.dataset])
    impossible = {
        "not_a_number": node.connector == "postgres" or model.get("AMOUNT") is None,
        "negative_amount": model.get("AMOUNT") is None,
        "negative_quantity": model.get("QUANTITY") is None,
    }
    return [reason for reason in reasons if not impossible.get(reason, False)]


def _own_key(table: Table, model: dict[str, object], serial: int) -> dict[str, str | None]:
    """A number of batch 99, which no other record has."""
    issue = f"WT99{str(model['ISSUE_CODE'])[4:10]}{serial:06d}"
    tails = {"issue_event": ("EVENT_ID", "-001"), "issue_outcome": ("OUTCOME_ID", "-R01")}
    name, tail = tails.get(table.dataset, ("ISSUE_CODE", ""))
    return {"ISSUE_CODE": issue, name: issue + tail}


def _fault(table: Table, row: dict[str, object], reason: str, serial: int) -> dict[str, str | None]:
    match reason:
        case "impossible_date":
            return {table.event: IMPOSSIBLE_TIME}
        case "missing_key":
            return {table.key[0]: None}
        case "future_cursor":
            return {table.cursor: FUTURE_CURSOR}
        case "bad_pattern":
            return {"BATCH_CODE": "第九十九批"}
        case "unknown_code":
            return {"EVENT_TYPE" if table.dataset == "issue_event" else "OUTCOME_TYPE": "paused"}
        case "negative_amount":
            return {"AMOUNT": f"-{row['AMOUNT']}"}
        case "negative_quantity":
            return {"QUANTITY": "-1"}
        case "not_a_number":
            return {"AMOUNT": NOT_A_NUMBER[serial % len(NOT_A_NUMBER)]}
        case _:
            own = str(row["NODE_CODE"])
            return {"NODE_CODE": next(node.code for node in all_nodes()[serial % 50 :] if node.code != own)}
