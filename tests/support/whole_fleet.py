"""Whole nights of a simulated province up to the landing gate, and what its books say of them."""

import csv
import datetime as dt
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from psycopg import Connection, sql

from yingshang.contracts import Contract, load_contracts
from yingshang.ingest import NightReport, close_night, ingest_node, open_night
from yingshang.quality import run_landing_gate
from yingshang.quality.landing import GateReport

CODES = ("allowed:", "pattern:")
REASONS = {
    "impossible_date": ("time:",),
    "missing_key": ("required:",),
    "missing_parent": ("required:",),
    "future_cursor": ("cursor_in_future",),
    "foreign_region": ("region_not_of_node",),
    "bad_code": CODES,
    "bad_pattern": CODES,
    "unknown_code": CODES,
    "not_a_number": ("type:",),
    "negative_amount": ("minimum:",),
    "negative_quantity": ("minimum:",),
    "negative_count": ("minimum:",),
    "future_month": ("not_after_clock:",),
    "more_satisfied": ("row_rule:",),
}
"""What the province calls a fault, and what the row checks call it."""


def read_night(night: dt.date, run_id: str) -> tuple[NightReport, GateReport]:
    """All nodes of all systems, two at a time, and the landing gate."""
    opened = open_night(night, run_id)
    tasks = [(system, code) for system, levels in opened.nodes.items() for codes in levels.values() for code in codes]
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(ingest_node, system, code, run_id) for system, code in tasks]:
            done.result()
    return close_night(run_id), run_landing_gate(run_id)


Keys = Mapping[tuple[str, str, str], tuple[int, int]]
"""(system, dataset, node) -> (live keys, deleted keys)."""


def keys_in_books(truth_csv: Path) -> Keys:
    """What the books hold at the end of a night."""
    found: dict[tuple[str, str, str], tuple[int, int]] = {}
    for row in _rows(truth_csv):
        key = (row["system"], row["dataset"], row["node_code"])
        live, deleted = found.get(key, (0, 0))
        found[key] = (live + int(row["live_keys"]), deleted + int(row["deleted_keys"]))
    return {key: counts for key, counts in found.items() if counts != (0, 0)}


Faults = Counter[tuple[str, str, str, tuple[str, ...]]]
"""(system, dataset, node, what the row checks may call it) -> rows."""


def faults_in_books(bad_csv: Path) -> Faults:
    """What the books sent that breaks the contract."""
    found: Faults = Counter()
    for row in _rows(bad_csv):
        found[row["system"], row["dataset"], row["node_code"], REASONS[row["reason"]]] += int(row["rows"])
    return found


def faults_in_quarantine(owner: Connection, run_id: str) -> Faults:
    """What a run refused. A row may break several rules: the province makes one fault each, of which others follow."""
    found: Faults = Counter()
    rows = owner.execute(
        "select system, dataset, node_code, reasons from quarantine.row where run_id = %s", (run_id,)
    ).fetchall()
    for system, dataset, node, reasons in rows:
        names = next(kind for kind in REASONS.values() if any(reason.startswith(kind) for reason in reasons))
        found[system, dataset, node, names] += 1
    return found


def keys_in_raw(owner: Connection) -> Keys:
    """What raw holds: of each key the latest version among the admitted batches, counted here and not by a model."""
    found: dict[tuple[str, str, str], tuple[int, int]] = {}
    for contract in load_contracts().values():
        for node, live, deleted in owner.execute(_latest(contract), {"deleted": list(contract.delete_values)}):
            found[contract.system, contract.dataset, node] = (live, deleted)
    return found


def _latest(contract: Contract) -> sql.Composed:
    key = sql.SQL(", ").join(sql.Identifier("r", contract.column(name).raw_name) for name in contract.primary_key)
    return sql.SQL(
        """
        with visible as (
            select batch_id, seq from (
                select distinct on (batch_id) batch_id, seq, event from ops.batch_event order by batch_id, seq desc
            ) last_event where event = 'admitted'
        ),
        latest as (
            select distinct on ({key}) r.*, b.node_code as provider
            from {raw} r
            join visible v on v.batch_id = r._batch_id
            join ops.batch b on b.batch_id = r._batch_id
            order by {key}, r.{cursor} desc, v.seq desc, r._row desc
        )
        select provider, count(*) filter (where not gone), count(*) filter (where gone)
        from (select provider, {delete} = any(%(deleted)s) as gone from latest) l
        group by provider"""
    ).format(
        key=key,
        raw=sql.Identifier("raw", contract.raw_table),
        cursor=sql.Identifier(contract.column(contract.cursor).raw_name),
        delete=sql.Identifier(contract.column(contract.delete_column).raw_name),
    )


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))
