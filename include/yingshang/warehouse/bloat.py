"""Tables with many dead rows (a load that is broken off leaves its rows dead) or old statistics, and their VACUUM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql
from psycopg.rows import class_row

from yingshang.warehouse.connections import PgConnection

LEAST_ROWS = 1000
"""Fewer dead or changed rows than this are not worth a VACUUM."""
DEAD_SHARE, CHANGED_SHARE = 0.05, 0.1


@dataclass(frozen=True)
class Bloated:
    """A table that asks for VACUUM or ANALYZE. Rows as PostgreSQL's statistics estimate them; bytes with indexes."""

    schema: str
    table: str
    live_rows: int
    dead_rows: int
    changed_rows: int
    bytes: int


def bloated_tables(connection: PgConnection) -> list[Bloated]:
    """Tables of raw, quarantine and ops with many dead rows, or many changed since they were analysed."""
    with connection.cursor(row_factory=class_row(Bloated)) as cursor:
        return cursor.execute(_BLOATED, {"least": LEAST_ROWS, "dead": DEAD_SHARE, "changed": CHANGED_SHARE}).fetchall()


def vacuum(connection: PgConnection, table: Bloated) -> int:
    """VACUUM and ANALYZE; a table that is locked is left for the next time. Returns its bytes afterwards.

    ``connection``: as owner, autocommit.
    """
    name = sql.Identifier(table.schema, table.table)
    connection.execute(sql.SQL("vacuum (analyze, skip_locked) {}").format(name))
    row = connection.execute("select pg_total_relation_size(%s::regclass)", (name.as_string(connection),)).fetchone()
    return int(row[0]) if row else 0


_BLOATED: LiteralString = """
select
    schemaname::text as schema, relname::text as "table", n_live_tup as live_rows, n_dead_tup as dead_rows,
    n_mod_since_analyze as changed_rows, pg_total_relation_size(relid) as bytes
from pg_stat_user_tables
where schemaname in ('raw', 'quarantine', 'ops')
    and (
        n_dead_tup >= greatest(%(least)s, %(dead)s * n_live_tup)
        or n_mod_since_analyze >= greatest(%(least)s, %(changed)s * n_live_tup)
    )
order by n_dead_tup desc, schemaname, relname
"""
