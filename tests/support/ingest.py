"""What the tests of ingest share: small real sources of one node, and a registry that knows only these."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from localpg import Cluster
from yingshang.contracts import Contract, load_contracts
from yingshang.ingest import NodeReport, ingest_node, open_night
from yingshang.settings import settings
from yingshang.warehouse import connect, ledger

NIGHT = dt.date(2024, 8, 13)
NODE = "210100"
LOT = "trading.lot"


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


@dataclass
class PgSource:
    """The exchange database of a node, with the tables of some contracts."""

    dsn: str
    contracts: Mapping[str, Contract]

    def insert(self, dataset: str, *rows: Mapping[str, Any]) -> None:
        contract = self.contracts[f"trading.{dataset}"]
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
        return int(self.execute(f"select count(*) from {self.contracts[f'trading.{dataset}'].table.lower()}")[0][0])


@contextmanager
def pg_source(cluster: Cluster, name: str, *datasets: str, clock: str = "20240814000500") -> Iterator[PgSource]:
    """A database with the tables of ``datasets``."""
    contracts = load_contracts()
    with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    source = PgSource(cluster.superuser_dsn(name), contracts)
    for dataset in datasets:
        contract = contracts[f"trading.{dataset}"]
        columns = ", ".join(
            f"{column.raw_name} {'numeric' if column.kind == 'decimal' else 'varchar'}" for column in contract.columns
        )
        source.execute(f"create table {contract.table.lower()} ({columns})")
    source.set_clock(clock)
    try:
        yield source
    finally:
        with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as admin:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


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
        for name in ("nodes.csv", "quorum.csv"):
            (self.folder / name).write_text((given / name).read_text(encoding="utf-8"), encoding="utf-8")
        lines = ["system,dataset,node_code,connector,format,cadence,valid_from"]
        lines += [
            f"trading,{dataset},{node},{kind},{form},daily,2022-01-01" for dataset, node, kind, form in self.provisions
        ]
        (self.folder / "provisions.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def run_night(run_id: str, node: str = NODE, night: dt.date = NIGHT) -> NodeReport:
    """Open a night and ingest one node."""
    open_night(night, run_id)
    return ingest_node("trading", node, run_id)


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
