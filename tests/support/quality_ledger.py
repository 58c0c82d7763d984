"""Batches written as ingest writes them, for the tests of the gates."""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import sql

from yingshang.contracts import load_contracts
from yingshang.warehouse import PgConnection, ledger

NIGHT = dt.date(2024, 8, 13)
DEAL_CODE = "A01-91210100MA0000000X-20240801-000001-1"


def open_night(connection: PgConnection, run_id: str = "run-1", night: dt.date = NIGHT) -> str:
    ledger.open_night(connection, run_id, night)
    connection.commit()
    return run_id


def lot_rows(
    node: str, count: int, *, stamp: str = "20240813120000", start: int = 1, **values: Any
) -> list[dict[str, Any]]:
    """Rows of trading.lot; ``values`` replace the usual ones."""
    project = f"A{node}" + "0" * 13
    return [
        {
            "bid_section_code": f"{project}{number:03d}",
            "tender_project_code": project,
            "bid_section_name": "lot",
            "unified_deal_code": DEAL_CODE,
            "region_code": node,
            "contract_reckon_price": 1000,
            "currency_code": "156",
            "price_unit": "0",
            "create_time": "20240801090000",
            "data_timestamp": stamp,
            "is_delete": "0",
            **values,
        }
        for number in range(start, start + count)
    ]


def add_batch(
    connection: PgConnection,
    node: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    run_id: str = "run-1",
    dataset: str = "trading.lot",
    night: dt.date = NIGHT,
    **values: Any,
) -> int:
    """Load a batch: its rows in raw and its row in the ledger, in one transaction. ``values`` are the ledger's."""
    contract = load_contracts()[dataset]
    batch_id = ledger.next_batch_id(connection)
    if rows:
        names = [name for name in contract.raw_names if name in rows[0]]
        columns = sql.SQL(", ").join(map(sql.Identifier, [*names, "_batch_id", "_row", "_digest"]))
        copy = sql.SQL("copy {} ({}) from stdin").format(sql.Identifier("raw", contract.raw_table), columns)
        with connection.cursor() as cursor, cursor.copy(copy) as stream:
            for number, row in enumerate(rows, 1):
                digest = hashlib.blake2b(repr(sorted(row.items())).encode(), digest_size=16).digest()
                stream.write_row([*(row[name] for name in names), batch_id, number, digest])
    known = {
        "kind": "window",
        "cursor_low": None,
        "cursor_high": "20240813120000",
        "source_clock": "20240814010000",
        "quarantined_rows": 0,
        "duplicate_rows": 0,
        "raw_rows": len(rows),
        "profile": _profile(rows, contract.raw_names),
        **values,
    }
    known["source_rows"] = known["raw_rows"] + known["quarantined_rows"] + known["duplicate_rows"]
    ledger.insert_batch(
        connection,
        ledger.NewBatch(
            batch_id=batch_id,
            run_id=run_id,
            night=night,
            system=contract.system,
            dataset=contract.dataset,
            node_code=node,
            contract_version=contract.version,
            started_at=dt.datetime.now(dt.UTC),
            **known,
        ),
    )
    connection.commit()
    return batch_id


def _profile(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """The part of ingest's profile that the gate reads."""
    count = max(1, len(rows))
    return {"null_share": {name.upper(): sum(row.get(name) is None for row in rows) / count for name in names}}


def add_drop(connection: PgConnection, node: str, rows: Sequence[Mapping[str, Any]], period: str, **values: Any) -> int:
    return add_batch(
        connection,
        node,
        rows,
        kind="drop",
        drop_period=period,
        **{"cursor_high": None, "drop_revision": 1, "drop_sha256": str(values.get("drop_revision", 1)), **values},
    )


def last_events(connection: PgConnection) -> dict[int, str]:
    return dict(
        connection.execute("select distinct on (batch_id) batch_id, event from ops.batch_event order by 1, seq desc")
    )
