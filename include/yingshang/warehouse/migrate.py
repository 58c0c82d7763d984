"""Versioned DDL: the files ``ddl/NNN_name.sql``, applied once each, in order, by the owner."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from yingshang.errors import TerminalError
from yingshang.warehouse.connections import PgConnection, one_line

DDL = Path(__file__).parent / "ddl"
ADVISORY_LOCK = 4207000
"""Advisory lock of migrations. 4207001 is that of the event seq (ops.record_events)."""


class MigrationError(TerminalError):
    """The warehouse's DDL and the program's do not fit together."""


@dataclass(frozen=True)
class Migration:
    """One DDL file."""

    version: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrate(connection: PgConnection, *, folder: Path = DDL) -> list[Migration]:
    """Apply what has not been applied yet, each file in a transaction. Returns what was applied.

    ``connection``: as owner, outside a transaction. Two at the same time wait for each other.

    Raises:
        MigrationError: a file that was applied has changed or is gone, or a file fails.
    """
    migrations = read_migrations(folder)
    was_autocommit = connection.autocommit
    connection.autocommit = True
    connection.execute("select pg_advisory_lock(%s)", (ADVISORY_LOCK,))
    try:
        pending = _pending_or_explain(connection, migrations)
        for migration in pending:
            _apply(connection, migration)
        return list(pending)
    finally:
        if not connection.closed:
            connection.execute("select pg_advisory_unlock(%s)", (ADVISORY_LOCK,))
            connection.autocommit = was_autocommit


def read_migrations(folder: Path = DDL) -> list[Migration]:
    """The files of ``folder``, by version."""
    found: dict[int, Migration] = {}
    for file in sorted(folder.glob("*.sql")):
        match = re.fullmatch(r"(\d{3})_([a-z0-9_]+)\.sql", file.name)
        if not match:
            raise MigrationError(f"{file}: a DDL file is named NNN_name.sql")
        migration = Migration(int(match[1]), file.stem, file.read_text(encoding="utf-8"))
        other = found.setdefault(migration.version, migration)
        if other is not migration:
            raise MigrationError(f"{file} and {other.name}.sql have the same version")
    return [found[version] for version in sorted(found)]


def _pending_or_explain(connection: PgConnection, migrations: Sequence[Migration]) -> list[Migration]:
    try:
        return _pending(connection, migrations)
    except psycopg.errors.InsufficientPrivilege as error:
        raise MigrationError(
            f"{connection.info.user} may not use the schema ops of database {connection.info.dbname}"
            f" ({one_line(error)}): run `yingshang warehouse init`; if a schema ops of another program is there,"
            " give the warehouse a database of its own"
        ) from error


def _pending(connection: PgConnection, migrations: Sequence[Migration]) -> list[Migration]:
    connection.execute("create schema if not exists ops")
    connection.execute(
        """create table if not exists ops.migration (
            version int primary key, name text not null, sha256 text not null,
            applied_by text not null default current_user, applied_at timestamptz not null default clock_timestamp()
        )"""
    )
    connection.execute("comment on table ops.migration is 'DDL files applied to this warehouse.'")
    applied = {
        version: (name, sha256)
        for version, name, sha256 in connection.execute("select version, name, sha256 from ops.migration")
    }
    by_version = {migration.version: migration for migration in migrations}
    for version, (name, sha256) in sorted(applied.items()):
        known = by_version.get(version)
        if known is None:
            raise MigrationError(
                f"the warehouse has {name}.sql, which this program does not know: it is older than the warehouse"
            )
        if known.sha256 != sha256:
            raise MigrationError(f"{known.name}.sql has changed since it was applied: restore it, and write a new file")
    return [migration for migration in migrations if migration.version not in applied]


def _apply(connection: PgConnection, migration: Migration) -> None:
    try:
        with connection.transaction():
            connection.execute(sql.SQL(migration.text))  # a file of ours
            connection.execute(
                "insert into ops.migration (version, name, sha256) values (%s, %s, %s)",
                (migration.version, migration.name, migration.sha256),
            )
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise MigrationError(f"{migration.name}.sql failed: {one_line(error)}") from error
