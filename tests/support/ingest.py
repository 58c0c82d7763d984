"""What the tests of ingest share: small real sources of one node, and a registry that knows only these."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from localpg import Cluster
from yingshang.contracts import Contract, load_contracts
from yingshang.ingest import NodeReport, ingest_node, open_night
from yingshang.settings import settings
from yingshang.warehouse import connect, ledger

if TYPE_CHECKING:
    from tests.conftest import Warehouse

NIGHT = dt.date(2024, 8, 13)
NODE = "210100"
LOT = "trading.lot"
CLOCK = "20240814000500"
"""What sources say it is."""


def lot(number: int, *, node: str = NODE, stamp: str = "20240813100000", **other: Any) -> dict[str, Any]:
    """A lot that keeps its contract."""
    project = f"E{node}{number:013d}"
    return {
        "BID_SECTION_CODE": f"{project}001",
        "TENDER_PROJECT_CODE": project,
        "BID_SECTION_NAME": f"第{number}标段",
        "UNIFIED_DEAL_CODE": f"A01-91210100MA00000000-20240813-{number % 1000000:06d}-0",
        "REGION_CODE": node,
        "TRA_PLACE_CODE": "P1",
        "CONTRACT_RECKON_PRICE": f"{number}.5",
        "CURRENCY_CODE": "156",
        "PRICE_UNIT": "0",
        "REMOTE_EVALUATION_REGION": None,
        "CREATE_TIME": "20240813",
        "PLATFORM_CODE": "PLAT",
        "PUB_SERVICE_PLAT_CODE": "PUB",
        "DATA_TIMESTAMP": stamp,
        "IS_DELETE": "0",
    } | other


def bid(number: int, *, node: str = NODE, stamp: str = "20240813100000", **other: Any) -> dict[str, Any]:
    """A bid that keeps its contract, with a person's number."""
    whole = lot(number, node=node, stamp=stamp)
    shared = {key: whole[key] for key in ("BID_SECTION_CODE", "TENDER_PROJECT_CODE", "DATA_TIMESTAMP", "IS_DELETE")}
    return (
        shared
        | {
            "BIDDER_ORG_CODE": "91210100MA00000000",
            "BIDDER_NAME": "某公司",
            "PRICE_FORM_CODE": "1",
            "BID_PRICE": "100.25",
            "PRICE_UNIT": "0",
            "CHECKIN_TIME": "20240813093000",
            "PM_CODE": f"21010119700101{number % 10000:04d}",
        }
        | other
    )


def event(number: int, *, node: str = NODE, stamp: str = "20240813100000", **other: Any) -> dict[str, Any]:
    """An event of an issue that keeps its contract."""
    issue = f"WT01{node}{number:06d}"
    return {
        "EVENT_ID": f"{issue}-001",
        "ISSUE_CODE": issue,
        "NODE_CODE": node,
        "EVENT_TYPE": "assigned",
        "EVENT_TIME": "20240813",
        "HANDLER_NAME": "张三",
        "DATA_TIMESTAMP": stamp,
        "IS_DELETE": "0",
    } | other


def outcome(number: int, *, node: str = NODE, stamp: str = "20240813100000", **other: Any) -> dict[str, Any]:
    """An outcome of an issue that keeps its contract."""
    issue = f"WT01{node}{number:06d}"
    return {
        "OUTCOME_ID": f"{issue}-R01",
        "ISSUE_CODE": issue,
        "NODE_CODE": node,
        "OUTCOME_TYPE": "debt_repaid",
        "AMOUNT": "100.5",
        "PRICE_UNIT": "1",
        "QUANTITY": None,
        "RESPONSIBLE_KIND": "1",
        "OUTCOME_TIME": "20240813",
        "DATA_TIMESTAMP": stamp,
        "IS_DELETE": "0",
    } | other


def work_order(number: int, *, node: str = NODE, stamp: str = "20240813100000", **other: Any) -> dict[str, Any]:
    """A work order that keeps its contract, with the citizen's own words."""
    return {
        "ORDER_NO": f"{node}20240813{number:04d}",
        "CLASS_CODE": "0101",
        "CHANNEL_CODE": "1",
        "CONTENT": "楼上漏水三天无人管",
        "CALLER_NAME": "李四",
        "CALLER_PHONE": "13900000000",
        "DIVISION_CODE": node,
        "DEPT_NAME": "住建局",
        "ACCEPT_TIME": "20240813080000",
        "DISPATCH_TIME": "20240813090000",
        "DUE_TIME": "20240814",
        "FIRST_CONTACT_TIME": None,
        "CLOSE_TIME": None,
        "STATUS_NAME": "已派单",
        "DATA_TIMESTAMP": stamp,
        "IS_DELETE": "0",
    } | other


def evaluation(number: int, *, node: str = NODE, stamp: str = "20240813100000", **other: Any) -> dict[str, Any]:
    """The evaluations of a village in a month that keep their contract."""
    return {
        "VILLAGE_CODE": f"{node}{number:06d}",
        "STAT_MONTH": "202407",
        "PARTICIPANTS": "100",
        "SATISFIED": "99",
        "DATA_TIMESTAMP": stamp,
        "IS_DELETE": "0",
    } | other


def dataset_name(dataset: str) -> str:
    """``trading.lot`` of ``lot``; other systems are named."""
    return dataset if "." in dataset else f"trading.{dataset}"


@dataclass
class PgSource:
    """The exchange database of a node, with the tables of some contracts."""

    dsn: str
    contracts: Mapping[str, Contract]

    def create(self, dataset: str) -> None:
        """Its table, with no row."""
        contract = self.contracts[dataset_name(dataset)]
        columns = ", ".join(
            f"{column.name.lower()} {'numeric' if column.kind == 'decimal' else 'varchar'}"
            for column in contract.columns
        )
        self.execute(f"create table {contract.table.lower()} ({columns})")

    def insert(self, dataset: str, *rows: Mapping[str, Any]) -> None:
        contract = self.contracts[dataset_name(dataset)]
        with psycopg.connect(self.dsn) as connection, connection.cursor() as cursor:
            for row in rows:
                cursor.execute(
                    sql.SQL("insert into {} ({}) values ({})").format(
                        sql.Identifier(contract.table.lower()),
                        sql.SQL(", ").join(sql.Identifier(name.lower()) for name in row),
                        sql.SQL(", ").join(sql.Placeholder() for _ in row),
                    ),
                    list(row.values()),
                )

    def execute(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn) as connection:
            cursor = connection.execute(statement, parameters or None)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def set_clock(self, clock: str) -> None:
        """Let exchange_clock() say ``clock`` (14 digits)."""
        self.execute(f"create or replace function exchange_clock() returns text language sql as $$ select '{clock}' $$")

    def count(self, dataset: str) -> int:
        return int(self.execute(f"select count(*) from {self.contracts[dataset_name(dataset)].table.lower()}")[0][0])


@contextmanager
def pg_source(cluster: Cluster, name: str, *datasets: str, clock: str = CLOCK) -> Iterator[PgSource]:
    """A database with the tables of ``datasets``."""
    contracts = load_contracts()
    with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    source = PgSource(cluster.superuser_dsn(name), contracts)
    for dataset in datasets:
        source.create(dataset)
    source.set_clock(clock)
    try:
        yield source
    finally:
        with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as admin:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@contextmanager
def pg_node(
    warehouse: Warehouse, cluster: Cluster, registry: Path, *datasets: str, clock: str = CLOCK
) -> Iterator[PgSource]:
    """The node as a PostgreSQL source of these datasets: its database, its connection, and a registry of it alone."""
    Fleet(registry).add(NODE, "postgres", *datasets)
    with pg_source(cluster, f"front_{NODE}_{warehouse.dbname}", *datasets, clock=clock) as source:
        warehouse.add_connections({f"trading_{NODE}": source.dsn})
        yield source


@dataclass
class Fleet:
    """A registry in a folder of its own. Add provisions, then :meth:`write`."""

    folder: Path
    provisions: list[tuple[str, str, str, str]] = field(default_factory=list)

    def add(self, node_code: str, connector: str, *datasets: str, form: str = "") -> None:
        self.provisions += [(dataset, node_code, connector, form) for dataset in datasets]
        self.write()

    def write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        given = settings().home / "include" / "registry"
        for name in ("nodes.csv", "access.csv"):
            (self.folder / name).write_text((given / name).read_text(encoding="utf-8"), encoding="utf-8")
        named = [(*dataset_name(dataset).split("."), *rest) for dataset, *rest in self.provisions]
        systems = {system for system, *_ in named}
        quorum = (given / "quorum.csv").read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in quorum if line.split(",")[0] in {"system", *systems}]
        (self.folder / "quorum.csv").write_text("".join(kept), encoding="utf-8")
        lines = ["system,dataset,node_code,connector,format,cadence,valid_from"]
        lines += [",".join((*of, "daily", "2022-01-01")) for of in named]
        (self.folder / "provisions.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def run_night(run_id: str, node: str = NODE, night: dt.date = NIGHT, *, system: str = "trading") -> NodeReport:
    """Open a night and ingest one node."""
    open_night(night, run_id)
    return ingest_node(system, node, run_id)


def admit_all() -> None:
    """Admit every batch that has not been judged, as the landing gate does with good ones."""
    with connect("ingest") as connection:
        waiting = [batch.batch_id for batch in ledger.unjudged_batches(connection)]
        ledger.admit(connection, waiting, reason="test", actor="test")


def write_drop(
    folder: Path,
    table: str,
    period: str,
    content: bytes,
    rows: int,
    *,
    suffix: str = "csv",
    revision: int = 1,
    node: str = NODE,
    told: Mapping[str, Any] | None = None,
) -> Path:
    """A data file and its manifest. ``told`` replaces entries of the manifest; None leaves one out."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{table}_{period}" + (f"_r{revision}" if revision > 1 else "")
    data = folder / f"{stem}.{suffix}"
    data.write_bytes(content)
    manifest = {
        "node_code": node,
        "table": table,
        "period": period,
        "revision": revision,
        "rows": rows,
        "sha256": hashlib.sha256(content).hexdigest(),
        "file": data.name,
        "created": "20240814003000",
        "charset": "GB18030",
        **(told or {}),
    }
    written = {key: value for key, value in manifest.items() if value is not None}
    (folder / f"{stem}.manifest.json").write_text(json.dumps(written), encoding="utf-8")
    return data


def csv_of(rows: list[Mapping[str, Any]], charset: str = "gb18030") -> bytes:
    """A CSV file with a header of national names."""
    lines = [",".join(rows[0])]
    lines += [",".join("" if value is None else str(value) for value in row.values()) for row in rows]
    return ("\r\n".join(lines) + "\r\n").encode(charset)
