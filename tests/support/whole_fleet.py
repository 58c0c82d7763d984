"""A simulated province, a registry of what it serves, and whole nights of it up to the landing gate."""

import csv
import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from psycopg import Connection, sql

from simulator import Province
from yingshang.contracts import Contract, load_contracts
from yingshang.ingest import NightReport, close_night, ingest_node, open_night
from yingshang.quality import run_landing_gate
from yingshang.quality.landing import GateReport
from yingshang.settings import PROJECT_ROOT

GIVEN = PROJECT_ROOT / "include" / "registry"


def write_registry(folder: Path, province: Province) -> Path:
    """The project's registry with the provisions of this province; figures that differ are expected as simulated."""
    folder.mkdir(parents=True, exist_ok=True)
    served = province.connections()
    provisions = [row for row in _rows(GIVEN / "provisions.csv") if f"{row['system']}_{row['node_code']}" in served]
    systems = {row["system"] for row in provisions}
    _write(folder / "provisions.csv", provisions)
    _write(folder / "quorum.csv", [row for row in _rows(GIVEN / "quorum.csv") if row["system"] in systems])
    for name in ("nodes", "published_figures"):
        _write(folder / f"{name}.csv", _rows(GIVEN / f"{name}.csv"))
    (folder / "pools.json").write_text((GIVEN / "pools.json").read_text(encoding="utf-8"), encoding="utf-8")
    simulated = dict(province.figures(province.night).iter_rows())
    expected = _rows(GIVEN / "figure_expectations.csv")
    for row in expected:
        value = simulated.get(row["figure"])
        if value is not None and Decimal(str(value)) != Decimal(row["expected_value"]):
            row.update(expected_value=str(value), basis="simulated")
    _write(folder / "figure_expectations.csv", expected)
    return folder


def read_night(night: dt.date, run_id: str) -> tuple[NightReport, GateReport]:
    """All nodes of all systems, one after the other, and the landing gate."""
    opened = open_night(night, run_id)
    for system, levels in opened.nodes.items():
        for codes in levels.values():
            for code in codes:
                ingest_node(system, code, run_id)
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


def _write(file: Path, rows: list[dict[str, str]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
