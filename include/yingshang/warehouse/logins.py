"""Passwords of the technical logins, and the connections that hold them."""

from __future__ import annotations

import os
import secrets as random
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

from psycopg import sql

from yingshang import secrets
from yingshang.errors import CredentialError, YingshangError
from yingshang.settings import settings
from yingshang.warehouse.connections import ROLES, AnyRole, PgConnection, conn_id, connect, login

MARK = "yingshang: login of the warehouse in database "


def make_logins(
    admin: PgConnection, target: Mapping[str, str], *, reset: bool, roles: Sequence[AnyRole] = ROLES
) -> tuple[list[str], list[str]]:
    """See that each role's connection leads here; give a password to a login where it does not, and save it.

    Returns the logins that got a password, and those of them that may have had one before.
    """
    here = _fingerprint(admin)
    made: list[str] = []
    replaced: list[str] = []
    for role in roles:
        if _leads(role, here):
            continue
        known = _known(role)
        variable = f"AIRFLOW_CONN_{conn_id(role).upper()}"
        from_environment = secrets.given_from_outside(conn_id(role)) is not None
        if from_environment and not os.environ.get(variable):
            variable = f"{conn_id(role)} of {secrets.BACKEND_VARIABLE}"
        if known and not from_environment and known.login == login(role):
            saved = {conn_id(role): known.uri}
            secrets.save_connections({conn_id(role): uri_of(target, login(role), known.password)})
            if _leads(role, here):  # moved to another database, or reached by another address
                continue
            secrets.save_connections(saved)
        owner = _marked(admin, role)
        if owner not in (None, target["dbname"]) and not reset:
            raise CredentialError(
                f"the login {login(role)} belongs to the warehouse in the database {owner} of this server, and"
                f" {settings().connections} has no connection for it: copy {conn_id(role)} from there, or take over the"
                " logins with `yingshang warehouse init --reset-logins` (connections kept elsewhere then fail)"
            )
        if from_environment and (known is None or known.login != login(role)):
            raise CredentialError(f"{variable} is set, but is no connection of {login(role)}: correct or unset it")
        password = known.password if from_environment and known and known.password else random.token_urlsafe(24)
        coded = admin.pgconn.encrypt_password(password.encode(), login(role).encode(), b"scram-sha-256").decode()
        renewed = sql.SQL("alter role {} login password {}").format(sql.Identifier(login(role)), sql.Literal(coded))
        # A reader's access ends on a day of the access registry, a technical login's does not.
        admin.execute(renewed + sql.SQL(" valid until 'infinity'") if role in ROLES else renewed)
        if not from_environment:
            secrets.save_connections({conn_id(role): uri_of(target, login(role), password)})
        if not _leads(role, here):
            raise CredentialError(
                f"the login {login(role)} is not accepted at {target.get('host')}:{target.get('port', 5432)} with its"
                f" new password: does {variable} lead elsewhere, or does pg_hba.conf refuse it?"
            )
        made.append(login(role))
        if owner is not None:
            replaced.append(login(role))
        admin.execute(
            sql.SQL("comment on role {} is {}").format(
                sql.Identifier(login(role)), sql.Literal(f"{MARK}{target['dbname']}")
            )
        )
    return made, replaced


def _marked(admin: PgConnection, role: AnyRole) -> str | None:
    """Database of the warehouse that the login was last given a password for."""
    row = admin.execute(
        "select shobj_description(oid, 'pg_authid') from pg_roles where rolname = %s", (login(role),)
    ).fetchone()
    mark = str(row[0] or "") if row else ""
    return mark.removeprefix(MARK) if mark.startswith(MARK) else None


def _fingerprint(connection: PgConnection) -> tuple[str, object]:
    """What tells one database of one running server from all others."""
    row = connection.execute("select current_database()::text, pg_postmaster_start_time()").fetchone()
    return (str(row[0]), row[1]) if row else ("", None)


def _known(role: AnyRole) -> secrets.Connection | None:
    try:
        return secrets.connection(conn_id(role))
    except CredentialError:
        return None


def _leads(role: AnyRole, here: tuple[str, object]) -> bool:
    """Whether the connection of the role works and leads to this database as this login."""
    try:
        with connect(role, autocommit=True) as connection:
            return connection.info.user == login(role) and _fingerprint(connection) == here
    except YingshangError:
        return False


def uri_of(target: Mapping[str, str], user: str, password: str) -> str:
    """A URI to the target (libpq's keywords) for a user."""
    host = target.get("host", "")
    query = {key: value for key, value in target.items() if key not in ("host", "port", "user", "password", "dbname")}
    if host.startswith("/"):
        query["host"], host = host, ""
    shown_host = f"[{host}]" if ":" in host else host
    port = f":{target['port']}" if "port" in target else ""
    credentials = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    uri = f"postgresql://{credentials}@{shown_host}{port}/{quote(target.get('dbname', ''))}"
    return f"{uri}?{urlencode(query)}" if query else uri
