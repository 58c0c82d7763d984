"""Raw tables, derived from the contracts: ``raw.<system>__<dataset>``, append-only.

Columns are added when a contract grows and never removed or changed: raw is the log of what was delivered.
"""

from __future__ import annotations

from collections.abc import Mapping

from psycopg import sql

from yingshang.contracts.model import LOAD_COLUMNS, Contract
from yingshang.errors import ContractError
from yingshang.warehouse.connections import PgConnection, Role, login

RIGHTS: Mapping[Role, str] = {"ingest": "select, insert", "transform": "select", "publish": "select"}
INDEX_SUFFIX_KEY, INDEX_SUFFIX_BATCH = "key_idx", "batch_idx"


def sync_raw(connection: PgConnection, contracts: Mapping[str, Contract]) -> list[str]:
    """Bring schema raw up to the contracts, in one transaction. Returns what was changed, in words.

    ``connection``: as owner.

    Raises:
        ContractError: a contract gives a column another type than raw has.
    """
    changes: list[str] = []
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(4207000)")
        present = _columns(connection)
        for contract in contracts.values():
            changes += _sync_table(connection, contract, present.get(contract.raw_table))
    return changes


def create_statement(contract: Contract) -> sql.Composed:
    """``create table`` of the contract's raw table."""
    lines = [
        sql.SQL("{} {}").format(sql.Identifier(column.raw_name), sql.SQL(column.sql_type))
        for column in contract.columns
    ]
    lines += [sql.SQL("{} {} not null").format(sql.Identifier(name), sql.SQL(kind)) for name, kind, _ in LOAD_COLUMNS]
    return sql.SQL("create table {} ({})").format(_table(contract), sql.SQL(", ").join(lines))


def _sync_table(
    connection: PgConnection, contract: Contract, present: dict[str, tuple[str, str | None]] | None
) -> list[str]:
    changes: list[str] = []
    if present is None:
        connection.execute(create_statement(contract))
        _index(connection, contract)
        for role, rights in RIGHTS.items():
            connection.execute(
                sql.SQL("grant {} on {} to {}").format(sql.SQL(rights), _table(contract), sql.Identifier(login(role)))
            )
        changes.append(f"raw.{contract.raw_table}: made")
        for name, _, comment in LOAD_COLUMNS:
            _comment(connection, contract, name, comment)
        about = f"{contract.business_name}. {contract.description} {contract.grain}. Contract {contract.name}."
        connection.execute(sql.SQL("comment on table {} is {}").format(_table(contract), sql.Literal(about)))
        present = {column.raw_name: (column.sql_type, None) for column in contract.columns}
    for column in contract.columns:
        known = present.get(column.raw_name)
        if known is None:
            connection.execute(
                sql.SQL("alter table {} add column {} {}").format(
                    _table(contract), sql.Identifier(column.raw_name), sql.SQL(column.sql_type)
                )
            )
            changes.append(f"raw.{contract.raw_table}: column {column.raw_name} added")
            known = (column.sql_type, None)
        if known[0] != column.sql_type:
            raise ContractError(
                f"{contract.name}: the contract makes {column.name} a {column.kind} ({column.sql_type}), but"
                f" raw.{contract.raw_table} has {known[0]}: raw keeps its types, add a new column instead"
            )
        if known[1] != column.comment:
            _comment(connection, contract, column.raw_name, column.comment)
    return changes


def _index(connection: PgConnection, contract: Contract) -> None:
    keys = [contract.column(name).raw_name for name in contract.primary_key]
    for suffix, columns in ((INDEX_SUFFIX_KEY, keys), (INDEX_SUFFIX_BATCH, ["_batch_id"])):
        connection.execute(
            sql.SQL("create index {} on {} ({})").format(
                sql.Identifier(f"{contract.raw_table}__{suffix}"),
                _table(contract),
                sql.SQL(", ").join(map(sql.Identifier, columns)),
            )
        )


def _comment(connection: PgConnection, contract: Contract, column: str, comment: str) -> None:
    connection.execute(
        sql.SQL("comment on column {}.{} is {}").format(_table(contract), sql.Identifier(column), sql.Literal(comment))
    )


def _table(contract: Contract) -> sql.Identifier:
    return sql.Identifier("raw", contract.raw_table)


def _columns(connection: PgConnection) -> dict[str, dict[str, tuple[str, str | None]]]:
    """Tables of schema raw: column -> (type, comment)."""
    found: dict[str, dict[str, tuple[str, str | None]]] = {}
    rows = connection.execute(
        """select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), col_description(c.oid, a.attnum)
        from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relnamespace = 'raw'::regnamespace and c.relkind in ('r', 'p')"""
    )
    for table, column, type_name, comment in rows:
        found.setdefault(table, {})[column] = (type_name, comment)
    return found
