"""From a mart row back to where it came from (I7): raw versions, batches, landed files, source node.

Rows of marts name the raw row that they show (``source_batch_id``, ``source_row``); the batch names dataset, node and
landed file. All of it is read in one snapshot.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import class_row, dict_row

from yingshang.contracts import Contract, load_contracts
from yingshang.contracts.registry import load_registry
from yingshang.errors import UsageError
from yingshang.publish import ledger, serving
from yingshang.publish.model import Publication
from yingshang.warehouse import session

SOURCE = ("source_batch_id", "source_row")
DEAL_COLUMN = "deal_code"
LOT_COLUMNS = ("lot_code", "lot_key")
PROJECT_COLUMN = "project_code"
SHOWN = (*LOT_COLUMNS, "dataset", "record_key", "bidder_code", "contractor_code", "stage", "type_code", "is_held",
         "is_orphan", "is_withdrawn")  # fmt: skip
SHOWN_LIMIT = 500


@dataclass(frozen=True)
class MartRow:
    """A published row. ``values``: its keys and flags. ``batch_id`` and ``row``: the raw row that it shows."""

    mart: str
    node_code: str | None
    values: Mapping[str, Any]
    batch_id: int
    row: int


@dataclass(frozen=True)
class Version:
    """A version of a source record in raw. ``is_shown``: published rows show this one."""

    dataset: str
    key: str
    cursor: str
    is_deleted: bool
    batch_id: int
    row: int
    is_visible: bool
    is_shown: bool


@dataclass(frozen=True)
class Delivery:
    """A batch: what a node delivered in one read, and what was last said of it (as of the publication's seq).

    ``replay_of``: the batch in which the rows of a replay were delivered, with the same row numbers.
    """

    batch_id: int
    system: str
    dataset: str
    node_code: str
    night: dt.date
    kind: str
    run_id: str
    loaded_at: dt.datetime
    source_rows: int
    cursor_low: str | None
    cursor_high: str | None
    drop_period: str | None
    landing_uri: str | None
    landing_sha256: str | None
    replay_of: int | None
    event: str | None
    seq: int | None
    reason: str | None
    node_name: str = ""


@dataclass(frozen=True)
class Trace:
    """All that is known of a deal. Without mart rows the versions were found in raw alone: they are not published."""

    code: str
    publication: Publication | None
    mart_rows: tuple[MartRow, ...]
    versions: tuple[Version, ...]
    deliveries: tuple[Delivery, ...]


def trace(code: str) -> Trace:
    """Where the published figures of a deal come from.

    Args:
        code: UNIFIED_DEAL_CODE (with or without hyphens as delivered), or BID_SECTION_CODE of a lot.

    Raises:
        UsageError: the code stands neither in the published marts nor in raw.
    """
    contracts = load_contracts()
    with session("publish", autocommit=True, application_name="yingshang trace") as conn, conn.transaction():
        conn.execute("set transaction isolation level repeatable read, read only")
        publication = ledger.publication_of(conn)
        rows = _mart_rows(conn, code, str(publication.slot)) if publication else []
        seq = publication.to_seq if publication else 0
        if rows:
            shown = {(one.batch_id, one.row) for one in rows}
            keys = _keys(conn, contracts, shown)
        else:
            shown = set()
            keys = _keys_in_raw(conn, contracts, code)
        if not keys:
            raise UsageError(f"{code!r} is neither a deal nor a lot in the published marts or in raw: check the code")
        versions = [one for name, found in keys.items() for one in _versions(conn, contracts[name], found, shown, seq)]
        deliveries = _deliveries(conn, {one.batch_id for one in versions}, seq)
    return Trace(code, publication, tuple(rows), tuple(versions), tuple(deliveries))


def _mart_rows(conn: psycopg.Connection[Any], code: str, slot: str) -> list[MartRow]:
    """Published rows of the deal, of its lots, and of its projects."""
    marts = {
        mart: names
        for mart in sorted(serving.served(conn))
        if set(SOURCE) <= (names := {one.name for one in serving.columns(conn, "serve", mart)})
    }
    found: dict[tuple[str, str], dict[str, Any]] = {}

    def look(columns: Iterable[str], values: Iterable[str], unless: Sequence[str] = ()) -> None:
        wanted = sorted(values)
        for mart, names in marts.items():
            used = [one for one in columns if one in names]
            if wanted and used and not set(unless) & names:
                for row in _rows(conn, mart, slot, used, wanted):
                    found[mart, repr(sorted(row.items(), key=lambda item: item[0]))] = row

    look((DEAL_COLUMN, "lot_code"), [code])
    lots = {row[name] for row in found.values() for name in LOT_COLUMNS if row.get(name)}
    projects = {row[PROJECT_COLUMN] for row in found.values() if row.get(PROJECT_COLUMN)}
    look(LOT_COLUMNS, lots)
    look((PROJECT_COLUMN,), projects, unless=LOT_COLUMNS)
    return [
        MartRow(
            mart,
            row.get("node_code"),
            {name: row[name] for name in (*SHOWN, PROJECT_COLUMN) if row.get(name) is not None},
            row["source_batch_id"],
            row["source_row"],
        )
        for (mart, _), row in sorted(found.items())
    ]


def _rows(
    conn: psycopg.Connection[Any], mart: str, slot: str, columns: Sequence[str], values: Sequence[str]
) -> list[dict[str, Any]]:
    condition = sql.SQL(" or ").join(sql.SQL("{} = any(%(values)s)").format(sql.Identifier(one)) for one in columns)
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            sql.SQL("select * from {} where _slot = %(slot)s and source_batch_id is not null and ({})").format(
                sql.Identifier("serve", mart), condition
            ),
            {"slot": slot, "values": list(values)},
        ).fetchall()


def _keys(
    conn: psycopg.Connection[Any], contracts: Mapping[str, Contract], shown: set[tuple[int, int]]
) -> dict[str, list[tuple[Any, ...]]]:
    """Primary keys of raw rows by dataset."""
    batches = conn.execute(
        "select system || '.' || dataset, array_agg(batch_id) from ops.batch where batch_id = any(%s)"
        " group by 1 order by 1",
        (sorted({batch for batch, _ in shown}),),
    ).fetchall()
    keys = {}
    for name, ids in batches:
        pairs = [one for one in shown if one[0] in set(ids)]
        contract = contracts[name]
        keys[name] = conn.execute(
            sql.SQL(
                "select distinct {} from {}"
                " where (_batch_id, _row) in (select * from unnest(%s::bigint[], %s::bigint[]))"
            ).format(_key_columns(contract), _raw(contract)),
            ([batch for batch, _ in pairs], [row for _, row in pairs]),
        ).fetchall()  # fmt: skip
    return keys


def _keys_in_raw(
    conn: psycopg.Connection[Any], contracts: Mapping[str, Contract], code: str
) -> dict[str, list[tuple[Any, ...]]]:
    """Primary keys of all raw rows that name the code: what was delivered and is not published."""
    keys = {}
    for name, contract in contracts.items():
        names = [one for one in ("unified_deal_code", "bid_section_code") if one in contract.raw_names]
        several = [one for one in ("unified_deal_codes", "bid_section_codes") if one in contract.raw_names]
        conditions = [sql.SQL("{} = %(code)s").format(sql.Identifier(one)) for one in names]
        conditions += [
            sql.SQL("%(code)s = any(string_to_array({}, ';'))").format(sql.Identifier(one)) for one in several
        ]
        if conditions:
            found = conn.execute(
                sql.SQL("select distinct {} from {} where {}").format(
                    _key_columns(contract), _raw(contract), sql.SQL(" or ").join(conditions)
                ),
                {"code": code},
            ).fetchall()
            if found:
                keys[name] = found
    return keys


def _versions(
    conn: psycopg.Connection[Any],
    contract: Contract,
    keys: Sequence[tuple[Any, ...]],
    shown: set[tuple[int, int]],
    seq: int,
) -> list[Version]:
    """All versions of the keys, newest last, whatever became of their batches."""
    columns = [sql.Identifier("r", name.lower()) for name in contract.primary_key]
    query = sql.SQL(_VERSIONS).format(
        key=sql.SQL(" || '/' || ").join(columns),
        cursor=sql.Identifier("r", contract.cursor.lower()),
        deleted=sql.Identifier("r", contract.delete_column.lower()),
        raw=_raw(contract),
        match=sql.SQL(" and ").join(sql.SQL("{} = %s").format(one) for one in columns),
    )
    found: list[Version] = []
    for key in keys:
        rows = conn.execute(query, (list(contract.delete_values), seq, *key, SHOWN_LIMIT)).fetchall()
        found += [
            Version(contract.name, name, cursor, is_deleted, batch, row, is_visible, (batch, row) in shown)
            for name, cursor, is_deleted, batch, row, is_visible in rows
        ]
    return found


def _deliveries(conn: psycopg.Connection[Any], batch_ids: set[int], seq: int) -> list[Delivery]:
    nodes = load_registry().nodes
    with conn.cursor(row_factory=class_row(Delivery)) as cursor:
        rows = cursor.execute(_DELIVERIES, {"ids": sorted(batch_ids), "seq": seq}).fetchall()
    return [
        Delivery(**(vars(one) | {"node_name": nodes[one.node_code].name if one.node_code in nodes else ""}))
        for one in rows
    ]


def _key_columns(contract: Contract) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name.lower()) for name in contract.primary_key)


def _raw(contract: Contract) -> sql.Composed:
    return sql.SQL("{} as r").format(sql.Identifier("raw", contract.raw_table))


_VERSIONS: LiteralString = """
    select
        {key}, {cursor}, coalesce({deleted} = any(%s), false), r._batch_id, r._row,
        coalesce((
            select e.event = 'admitted' from ops.batch_event as e
            where e.batch_id = r._batch_id and e.seq <= %s
            order by e.seq desc limit 1
        ), false)
    from {raw}
    where {match}
    order by {cursor}, r._batch_id, r._row
    limit %s
"""

_DELIVERIES: LiteralString = """
    select
        batch_id, system, dataset, node_code, night, kind, run_id, loaded_at, source_rows, cursor_low, cursor_high,
        drop_period, landing_uri, landing_sha256, replay_of, event, seq, reason
    from ops.batch_state
    where batch_id = any(%(ids)s)
    order by batch_id
"""
