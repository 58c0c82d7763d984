"""Connections to the warehouse, one login per technical role.

Every connection checks each second during a statement that its client is still there, so that the back end of a
killed task ends soon and cannot race its retry. Connections are named ``warehouse_<role>`` in :mod:`yingshang.secrets`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NewType, TypeAlias, get_args
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import psycopg

from yingshang import secrets
from yingshang.errors import CredentialError, LoginRefused, WarehouseUnavailable, YingshangError
from yingshang.transport import UNTRUSTED, secured

Role = Literal["owner", "ingest", "transform", "publish", "bi_reader"]
ROLES: tuple[Role, ...] = get_args(Role)
ReaderRole = NewType("ReaderRole", str)
"""A role of the access registry (bi_shenyang): a login of its own, beside the technical ones."""
AnyRole: TypeAlias = Role | ReaderRole
PgConnection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

CONNECT_SECONDS = 10
SESSION_OPTIONS = {"client_connection_check_interval": "1s", "timezone": "Asia/Shanghai"}
LIBPQ_OPTIONS = {
    "connect_timeout": str(CONNECT_SECONDS),
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
_REFUSED = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|role .* does not exist"
    r"|database .* does not exist|not permitted to log in|permission denied for database",
    re.IGNORECASE,
)


def login(role: AnyRole) -> str:
    """Name of the role's login in PostgreSQL."""
    return f"yingshang_{role}"


def conn_id(role: AnyRole) -> str:
    """Name of the role's connection in :mod:`yingshang.secrets`."""
    return f"warehouse_{role}"


def dsn(role: AnyRole, *, application_name: str | None = None) -> str:
    """A libpq URI for the role, with the session options that every connection has (also for ADBC). Secret.

    Raises:
        CredentialError: there is no connection ``warehouse_<role>``, or it is not one to PostgreSQL.
    """
    known = secrets.connection(conn_id(role))
    if known.scheme not in ("postgresql", "postgres"):
        raise CredentialError(f"connection {conn_id(role)!r} is not a postgresql:// URI but {known.scheme}://")
    return with_session_options(known.uri, application_name or login(role))


def with_session_options(uri: str, application_name: str) -> str:
    """``uri`` with our libpq and session options, where it does not set them itself."""
    parts = urlsplit(uri)
    query = {**LIBPQ_OPTIONS, "application_name": application_name, **dict(parse_qsl(parts.query))}
    options = " ".join(f"-c {key}={value}" for key, value in SESSION_OPTIONS.items())
    query["options"] = f"{options} {query.get('options', '')}".strip()
    scheme = "postgresql"
    return urlunsplit((scheme, parts.netloc, parts.path, urlencode(query).replace("+", "%20"), ""))


def connect(
    role: AnyRole,
    *,
    autocommit: bool = False,
    application_name: str | None = None,
    statement_timeout: float | None = None,
    lock_timeout: float | None = None,
) -> PgConnection:
    """A new connection as ``role``. Timeouts in seconds; None keeps the role's own.

    Raises:
        CredentialError: no such connection, or the warehouse refuses it.
        WarehouseUnavailable: the warehouse does not answer.
    """
    uri = dsn(role, application_name=application_name)
    connection = open_uri(uri, named=f"connection {conn_id(role)!r}", autocommit=True)
    for name, seconds in (("statement_timeout", statement_timeout), ("lock_timeout", lock_timeout)):
        if seconds is not None:
            connection.execute("select set_config(%s, %s, false)", (name, f"{int(seconds * 1000)}ms"))
    connection.autocommit = autocommit
    return connection


@contextmanager
def session(
    role: AnyRole,
    *,
    autocommit: bool = False,
    application_name: str | None = None,
    statement_timeout: float | None = None,
    lock_timeout: float | None = None,
) -> Iterator[PgConnection]:
    """:func:`connect`, committed at the end (rolled back on an error) and closed.

    Raises:
        CredentialError, WarehouseUnavailable: as :func:`connect`; also when the server is lost on the way.
    """
    with (
        translated(),
        connect(
            role,
            autocommit=autocommit,
            application_name=application_name,
            statement_timeout=statement_timeout,
            lock_timeout=lock_timeout,
        ) as connection,
    ):
        yield connection


@contextmanager
def translated() -> Iterator[None]:
    """Turn a warehouse that broke off (shut down, crashed, out of connections) into WarehouseUnavailable."""
    try:
        yield
    except psycopg.errors.QueryCanceled:
        raise
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise WarehouseUnavailable(f"the warehouse broke off: {one_line(error)}") from error


def open_uri(uri: str, *, named: str, autocommit: bool = False) -> PgConnection:
    """Connect to ``uri``; errors say ``named`` and where it points, never the password."""
    place = _place(uri)
    try:
        return psycopg.connect(secured(uri, named), autocommit=autocommit)
    except psycopg.OperationalError as error:
        raise _explained(error, named, place) from error
    except psycopg.ProgrammingError as error:
        raise CredentialError(f"{named} is not a usable PostgreSQL URI ({place})") from error


def one_line(error: BaseException) -> str:
    """What a database error says, on one line."""
    return " ".join(str(error).split())


def _explained(error: psycopg.OperationalError, named: str, place: str) -> YingshangError:
    said = one_line(error).removeprefix("connection failed: ")
    if "password authentication failed" in said:
        return LoginRefused(
            f"the warehouse at {place} refuses {named}: its password has expired or was changed (口令已过期或已更改)."
            " `yingshang warehouse init` renews it; a reader's access ends on the day that the access registry says"
        )
    if _REFUSED.search(said) or UNTRUSTED.search(said):
        return LoginRefused(f"the warehouse at {place} refuses {named}: {said}")
    return WarehouseUnavailable(
        f"the warehouse at {place} does not answer ({said}): check that PostgreSQL runs there, and {named}"
    )


def _place(uri: str) -> str:
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "an unreadable address"
    return f"{host or 'local socket'}:{port or 5432}{parts.path or '/'}"
