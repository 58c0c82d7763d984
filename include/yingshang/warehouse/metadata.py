"""Databases of neighbours on the warehouse's server: the metadata of Airflow and of Superset.

Each has a login of its own, which reaches no other database of ours.
"""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import sql

from yingshang.errors import CredentialError, UsageError
from yingshang.warehouse.connections import one_line, open_uri, translated
from yingshang.warehouse.roles import DSN_VARIABLE, administrators_uri


def make_metadata(dsn: str, uri: str) -> str:
    """Make the login and the database that ``uri`` names, where they are missing; returns the database's name.

    Can be repeated: the login then has the password of ``uri``. The server is that of ``dsn`` (the administrator's),
    whatever host ``uri`` reaches it by.

    Raises:
        UsageError: ``uri`` names no login, password or database, or the administrator's own.
        CredentialError, WarehouseUnavailable: ``dsn`` is refused, may not make them, or does not answer.
    """
    parts = urlsplit(uri)
    login, password, database = unquote(parts.username or ""), unquote(parts.password or ""), parts.path.lstrip("/")
    if not (login and password and database):
        raise UsageError("the DSN of a metadata database is dialect://login:password@host:port/database")
    with (
        translated(),
        open_uri(administrators_uri(dsn, "yingshang metadata"), named=DSN_VARIABLE, autocommit=True) as admin,
    ):
        if login == admin.info.user or database == admin.info.dbname:
            raise UsageError(f"{login} and {database} are the warehouse's own: metadata have a login and a database")
        name = sql.Identifier(database)
        try:
            if not admin.execute("select 1 from pg_roles where rolname = %s", (login,)).fetchone():
                admin.execute(sql.SQL("create role {} login").format(sql.Identifier(login)))
            coded = admin.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256").decode()
            admin.execute(sql.SQL("alter role {} login password {}").format(sql.Identifier(login), sql.Literal(coded)))
            if not admin.execute("select 1 from pg_database where datname = %s", (database,)).fetchone():
                admin.execute(sql.SQL("create database {}").format(name))
            admin.execute(sql.SQL("alter database {} owner to {}").format(name, sql.Identifier(login)))
            admin.execute(sql.SQL("revoke all on database {} from public").format(name))
        except psycopg.errors.InsufficientPrivilege as error:
            raise CredentialError(
                f"{DSN_VARIABLE}: {admin.info.user} may not make the database {database} ({one_line(error)}): it must"
                " have CREATEROLE and CREATEDB"
            ) from error
    return database
