"""What the sources say, counted without dbt: the live records of each dataset as of a seq, for totals to compare with.

For each contract a temporary table ``live_<system>__<dataset>`` holds one row per live record: the latest version of
its key (greatest cursor, admitting seq, row number) among the batches visible at the seq, unless that is a tombstone.
Its columns are the key, ``node_code`` of the delivering node and, per amount with a unit column, ``<amount>_yuan``
(null where the price form says that the number is no amount). ``visible_at_seq`` holds the visible batches.
"""

from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg import sql

from yingshang.contracts import Contract

PRICE_FORM = "PRICE_FORM_CODE"
"""1 amount of money, 2 rate, 3 unit price, 9 other."""


def make_source_tables(connection: psycopg.Connection[Any], contracts: Iterable[Contract], to_seq: int) -> None:
    """Make the temporary tables in the transaction of ``connection``; they vanish with it."""
    connection.execute(
        """
        create temporary table visible_at_seq on commit drop as
        select last_event.batch_id, b.node_code, last_event.seq
        from (
            select distinct on (batch_id) batch_id, seq, event
            from ops.batch_event
            where seq <= %s
            order by batch_id, seq desc
        ) last_event
        join ops.batch b using (batch_id)
        where last_event.event = 'admitted'
        """,
        (to_seq,),
    )
    connection.execute("analyze visible_at_seq")
    for contract in contracts:
        connection.execute(_live_records(contract))
        connection.execute(sql.SQL("analyze {}").format(sql.Identifier(f"live_{contract.raw_table}")))


def _live_records(contract: Contract) -> sql.Composed:
    key = sql.SQL(", ").join(sql.Identifier("r", name.lower()) for name in contract.primary_key)
    return sql.SQL(
        """
        create temporary table {table} on commit drop as
        select * from (
            select distinct on ({key}) {key}, v.node_code, {amounts} {delete} = any({deletes}) as is_deleted
            from {raw} r
            join visible_at_seq v on v.batch_id = r._batch_id
            order by {key}, {cursor} desc, v.seq desc, r._row desc
        ) latest
        where not is_deleted
        """
    ).format(
        table=sql.Identifier(f"live_{contract.raw_table}"),
        key=key,
        amounts=sql.SQL("").join(_amounts(contract)),
        delete=sql.Identifier("r", contract.delete_column.lower()),
        deletes=sql.Literal(list(contract.delete_values)),
        raw=sql.Identifier("raw", contract.raw_table),
        cursor=sql.Identifier("r", contract.cursor.lower()),
    )


def _amounts(contract: Contract) -> Iterable[sql.Composed]:
    names = set(contract.column_names)
    is_amount = sql.SQL("coalesce(r.price_form_code, '1') = '1'" if PRICE_FORM in names else "true")
    for column in contract.columns:
        if column.kind == "decimal" and column.unit in names:
            yield sql.SQL(
                "case when {is_amount} then round({amount} * (case {unit} when '1' then 10000 else 1 end), 2) end"
                " as {name}, "
            ).format(
                is_amount=is_amount,
                amount=sql.Identifier("r", column.raw_name),
                unit=sql.Identifier("r", str(column.unit).lower()),
                name=sql.Identifier(f"{column.raw_name}_yuan"),
            )
