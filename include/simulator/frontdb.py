"""The front-end exchange databases: one per city and one of the province, a schema per county, a login per node.

Source tables hold the present version of each record: a correction updates the row in place, so that reading the same
window again later gives something else. API cities have a database too, which only their gateway reads. Every node's
changes of a night are one transaction, and move the exchange's business clock with them.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
    "autovacuum_naptime": "5min",
    "max_connections": "300",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
}


@dataclass(frozen=True)
class Logins:
    """Passwords per login name."""

    passwords: Mapping[str, str]


def login_of(system: System, node: Node) -> str:
    return f"{system.name}_{node.code}"


def cluster(root: Path, port: int = 0) -> Cluster:
    """The cluster of the province's front-end databases. Its data are worthless: no fsync."""
    return Cluster(root / "pg", port=port, settings=SETTINGS)


def create_databases(server: Cluster, system: System, fleet: Fleet, passwords: Mapping[str, str]) -> None:
    """Logins, databases, schemas and empty tables. Does nothing where they are."""
    with psycopg.connect(server.superuser_dsn(), autocommit=True) as connection:
        present = {name for (name,) in connection.execute("select datname from pg_database")}
        roles = {name for (name,) in connection.execute("select rolname from pg_roles")}
        for login in [GATEWAY, *(login_of(system, node) for node in fleet.of("postgres"))]:
            if login not in roles:
                connection.execute(
                    sql.SQL("create role {} login password {}").format(sql.Identifier(login), passwords[login])
                )
        for database in fleet.databases:
            if database not in present:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(database)))


def load(server: Cluster, books: Books, fleet: Fleet) -> None:
    """Bring every database to the last night of the books: whole when it is new, night by night when it is behind."""
    loader = _Loader(server, books, fleet)
    for night in books.nights():
        loader.apply(night)


def apply_night(server: Cluster, books: Books, fleet: Fleet, night: int) -> None:
    """Bring the changes of one night into all databases."""
    _Loader(server, books, fleet).apply(night)


def behind(server: Cluster, fleet: Fleet) -> dict[str, int]:
    """The night each node's tables show, yyyymmdd; 0 for a node without tables."""
    found: dict[str, int] = {}
    for database, nodes in fleet.databases.items():
        with psycopg.connect(server.superuser_dsn(database)) as connection:
            for node in nodes:
                found[node.code] = _shown_night(connection, node)
    return found


def set_login(server_dsn: str, system: System, node: Node, *, allowed: bool) -> None:
    """Let a node's login in or keep it out; keeping it out ends its sessions."""
    login = login_of(system, node)
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        word = sql.SQL("login" if allowed else "nologin")
        connection.execute(sql.SQL("alter role {} {}").format(sql.Identifier(login), word))
        if not allowed:
            connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [login])


class _Loader:
    def __init__(self, server: Cluster, books: Books, fleet: Fleet) -> None:
        self.server, self.books, self.fleet = server, books, fleet

    def apply(self, night: int) -> None:
        nodes = self.fleet.of("postgres", "http")
        parts: dict[str, dict[int, pl.DataFrame]] = {}
        for table in self.books.system.tables:
            columns = [*table.columns, "_node", "_bad"]
            frame = self.books.delivered(table.dataset, night, columns)
            mine = frame.filter(pl.col("_node").is_in([node.index for node in nodes]))
            now = current_rows(mine, table)
            parts[table.dataset] = {int(key[0]): part for key, part in now.partition_by("_node", as_dict=True).items()}
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda entry: self._database(entry[0], entry[1], night, parts), self.fleet.databases.items()))

    def _database(
        self, database: str, nodes: Iterable[Node], night: int, parts: Mapping[str, Mapping[int, pl.DataFrame]]
    ) -> None:
        with psycopg.connect(self.server.superuser_dsn(database)) as connection:
            for node in nodes:
                shown = _shown_night(connection, node)
                if shown >= night:
                    continue
                with connection.transaction():
                    if not shown:
                        connection.execute(_schema_ddl(self.books.system, node))
                    for table in self.books.system.tables:
                        frame = parts[table.dataset].get(node.index)
                        if frame is not None:
                            _put(connection, node, table, frame, replace=bool(shown))
                        if not shown:
                            connection.execute(_index_ddl(node, table))
                    connection.execute(
                        f"update {node.schema}.exchange_time set clock = %s", [clock_after(date_of(night))]
                    )
                connection.commit()


def _shown_night(connection: psycopg.Connection, node: Node) -> int:
    if connection.execute("select to_regclass(%s)", [f"{node.schema}.exchange_time"]).fetchone() == (None,):
        return 0
    row = connection.execute(
        f"select to_char(to_date(left(clock, 8), 'yyyymmdd') - 1, 'yyyymmdd') from {node.schema}.exchange_time"
    ).fetchone()
    return int(row[0]) if row else 0


def _put(connection: psycopg.Connection, node: Node, table: Table, frame: pl.DataFrame, *, replace: bool) -> None:
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
    reader = login_of(system, node) if node.connector == "postgres" else GATEWAY
    statements = [
        f"revoke connect on database {node.database} from public",
        f"grant connect on database {node.database} to {reader}",
        f"create schema {node.schema}",
        f"grant usage on schema {node.schema} to {reader}",
        f"create table {node.schema}.exchange_time (clock text not null)",
        f"insert into {node.schema}.exchange_time values ('19700101010000')",
        f"create function {node.schema}.exchange_clock() returns text language sql stable as "
        f"$$ select clock from {node.schema}.exchange_time $$",
        *(_table_ddl(node, table) for table in system.tables),
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
    price = "numeric" if node.connector == "postgres" else "varchar"
    columns = ", ".join(f"{name.lower()} {price if name == table.price else 'varchar'}" for name in table.columns)
    return f"create table {node.schema}.{table.name.lower()} ({columns})"


def _index_ddl(node: Node, table: Table) -> str:
    name = f"{node.schema}.{table.name.lower()}"
    keys = [key.lower() for key in table.key]
    order = ", ".join(f"coalesce({key}, '')" for key in keys)
    return (
        f"create unique index on {name} ({', '.join(keys)}); create index on {name} ({table.cursor.lower()}, {order})"
    )
