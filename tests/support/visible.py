"""What the models see of raw, asked apart from them: the latest visible version of each key."""

from psycopg import sql

from yingshang.contracts import load_contracts


def live_rows(name: str) -> sql.Composed:
    """A query for live rows of a dataset, such as ``trading.lot``: ``node_code`` and the columns of raw."""
    contract = load_contracts()[name]
    return sql.SQL(
        """select * from (
            select distinct on ({key}) b.node_code, r.*
            from {raw} r join ops.batch b on b.batch_id = r._batch_id
            cross join lateral (select event, seq from ops.batch_event e where e.batch_id = b.batch_id
                order by seq desc limit 1) l
            where l.event = 'admitted'
            order by {key}, r.{cursor} desc, l.seq desc, r._row desc
        ) x where not {deleted} = any({deletes})"""
    ).format(
        key=sql.SQL(", ").join(sql.Identifier("r", contract.column(one).raw_name) for one in contract.primary_key),
        raw=sql.Identifier("raw", contract.raw_table),
        cursor=sql.Identifier(contract.column(contract.cursor).raw_name),
        deleted=sql.Identifier(contract.column(contract.delete_column).raw_name),
        deletes=sql.Literal(list(contract.delete_values)),
    )
