"""The front-end exchange databases: one per city and one of the province, a schema per system and county, and a login
per system and node.

Source tables hold the present version of each record: a correction updates the row in place, so that reading the same
window again later gives something else. API cities have a database too, which only their gateway reads. All changes of
a night of a node and system are one transaction, and move that exchange's business clock with them.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import psycopg
from psycopg import sql

from localpg import Cluster
from simulator.books import Books, clock_after, current_rows, date_of
from simulator.fleet import Fleet, Node
from simulator.tables import System, Table

GATEWAY = "api_gateway"
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum_naptime": "5min",
    "max_connections": "300",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
}


def cluster(root: Path, port: int = 0) -> Cluster:
    """The cluster of the province's front-end databases. Its data are worthless: no fsync."""
    return Cluster(root / "pg", port=port, settings=SETTINGS)


def create_databases(server: Cluster, fleets: Sequence[Fleet], passwords: Mapping[str, str]) -> None:
    """Logins and databases of nodes as they run some systems. Does nothing where they are."""
    logins = [GATEWAY, *(node.login for fleet in fleets for node in fleet.of("postgres"))]
    databases = dict.fromkeys(name for fleet in fleets for name in fleet.databases)
    with psycopg.connect(server.superuser_dsn(), autocommit=True) as connection:
        present = {name for (name,) in connection.execute("select datname from pg_database")}
        roles = {name for (name,) in connection.execute("select rolname from pg_roles")}
        for login in logins:
            if login not in roles:
                connection.execute(
                    sql.SQL("create role {} login password {}").format(sql.Identifier(login), passwords[login])
                )
        for database in databases:
            if database not in present:
                connection.execute(sql.SQL("create database {} strategy file_copy").format(sql.Identifier(database)))


def load(server: Cluster, books: Books, fleet: Fleet) -> None:
    """Bring one system's tables to the last night of its books: whole when new, night by night when behind."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda entry: _load_database(server, books, *entry), fleet.databases.items()))


def apply_night(server: Cluster, books: Books, fleet: Fleet, night: int) -> None:
    """Bring the changes of one night of one system into all databases; the night need not be the books' last yet."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda entry: _apply(server, books, night, *entry), fleet.databases.items()))


def set_logins(server_dsn: str, allowed: Mapping[str, bool]) -> None:
    """Let logins in or keep them out; keeping one out ends its sessions."""
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        for login, is_allowed in allowed.items():
            word = sql.SQL("login" if is_allowed else "nologin")
            connection.execute(sql.SQL("alter role {} {}").format(sql.Identifier(login), word))
            if not is_allowed:
                connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [login])


def _load_database(server: Cluster, books: Books, database: str, nodes: list[Node]) -> None:
    for night in books.nights():
        _apply(server, books, night, database, nodes)


def _apply(server: Cluster, books: Books, night: int, database: str, nodes: list[Node]) -> None:
    with psycopg.connect(server.superuser_dsn(database)) as connection:
        shown = {node: _shown_night(connection, node) for node in nodes}
        wanting = [node for node in nodes if shown[node] < night]
        if not wanting:
            return
        parts = _parts(books, night, wanting)
        connection.commit()
        for node in wanting:
            with connection.transaction():
                _apply_to_node(connection, books.system, node, night, parts[node.index], is_new=not shown[node])


def _apply_to_node(
    connection: psycopg.Connection,
    system: System,
    node: Node,
    night: int,
    parts: Mapping[str, pl.DataFrame],
    *,
    is_new: bool,
) -> None:
    if is_new:
        connection.execute(_schema_ddl(system, node))
    for table in system.tables_at(node):
        frame = parts.get(table.dataset)
        if frame is not None:
            put(connection, node, table, frame, replace=not is_new)
        if is_new:
            connection.execute(_index_ddl(node, table))
    connection.execute(f"update {node.schema}.exchange_time set clock = %s", [clock_after(date_of(night))])


def _parts(books: Books, night: int, nodes: list[Node]) -> dict[int, dict[str, pl.DataFrame]]:
    """Node index -> dataset -> what the night brings. In the history each key stands once."""
    found: dict[int, dict[str, pl.DataFrame]] = {node.index: {} for node in nodes}
    is_history = night == books.nights()[0]
    for table in books.system.tables:
        indexes = [node.index for node in nodes if node.level in table.levels]
        if not indexes:
            continue
        frame = books.delivered_by(table.dataset, night, indexes).select(*table.columns, "_node", "_bad")
        now = frame if is_history else current_rows(frame, table)
        for (index, *_), part in now.partition_by("_node", as_dict=True).items():
            found[int(str(index))][table.dataset] = part
    return found


def _shown_night(connection: psycopg.Connection, node: Node) -> int:
    if connection.execute("select to_regclass(%s)", [f"{node.schema}.exchange_time"]).fetchone() == (None,):
        return 0
    row = connection.execute(
        f"select to_char(to_date(left(clock, 8), 'yyyymmdd') - 1, 'yyyymmdd') from {node.schema}.exchange_time"
    ).fetchone()
    return int(row[0]) if row else 0


def put(connection: psycopg.Connection, node: Node, table: Table, frame: pl.DataFrame, *, replace: bool) -> None:
    """Insert new records and replace changed ones."""
    name = f"{node.schema}.{table.name.lower()}"
    target = name
    with connection.cursor() as cursor:
        if replace:
            cursor.execute(f"create temp table incoming (like {name}) on commit drop")
            target = "incoming"
        columns = ", ".join(column.lower() for column in table.columns)
        content = frame.select(*table.columns).write_csv(include_header=False, quote_style="necessary").encode()
        with cursor.copy(f"copy {target} ({columns}) from stdin (format csv)") as copy:
            copy.write(content)
        if replace:
            same = " and ".join(f"old.{key.lower()} = new.{key.lower()}" for key in table.key)
            cursor.execute(f"delete from {name} old using incoming new where {same}")
            cursor.execute(f"insert into {name} select * from incoming")
            cursor.execute("drop table incoming")


def _schema_ddl(system: System, node: Node) -> str:
    reader = node.login if node.connector == "postgres" else GATEWAY
    statements = [
        f"revoke connect on database {node.database} from public",
        f"grant connect on database {node.database} to {reader}",
        f"create schema {node.schema}",
        f"grant usage on schema {node.schema} to {reader}",
        f"create table {node.schema}.exchange_time (clock text not null)",
        f"insert into {node.schema}.exchange_time values ('19700101010000')",
        f"create function {node.schema}.exchange_clock() returns text language sql stable as "
        f"$$ select clock from {node.schema}.exchange_time $$",
        *(_table_ddl(node, table) for table in system.tables_at(node)),
        f"grant select on all tables in schema {node.schema} to {reader}",
    ]
    if node.connector == "postgres":
        statements += [
            f"alter role {reader} set search_path = {node.schema}",
            f"alter role {reader} set default_transaction_read_only = on",
        ]
    return ";\n".join(statements)


def _table_ddl(node: Node, table: Table) -> str:
    # Behind an API everything is text: what a clerk typed is passed on as it is.
    kinds = dict.fromkeys(table.integers, "bigint") | ({table.price: "numeric"} if table.price else {})
    if node.connector != "postgres":
        kinds = {}
    columns = ", ".join(f"{name.lower()} {kinds.get(name, 'varchar')}" for name in table.columns)
    return f"create table {node.schema}.{table.name.lower()} ({columns})"


def _index_ddl(node: Node, table: Table) -> str:
    name = f"{node.schema}.{table.name.lower()}"
    keys = [key.lower() for key in table.key]
    # An API pages in the order of cursor and key; readers of a database ask for a window of cursors.
    order = "".join(f", coalesce({key}, '')" for key in keys) if node.connector == "http" else ""
    return f"create unique index on {name} ({', '.join(keys)}); create index on {name} ({table.cursor.lower()}{order})"
