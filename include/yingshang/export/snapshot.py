"""The one snapshot that an export reads: of the published marts, as a reader, with the publication it shows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import psycopg

from yingshang import secrets
from yingshang.errors import CredentialError, TransientError, UsageError
from yingshang.warehouse import PgConnection, dsn
from yingshang.warehouse.connections import AnyRole, ReaderRole, conn_id, one_line, open_uri, translated

PUBLIC_ROLE = ReaderRole("bi_public")
ANALYST: AnyRole = "bi_reader"
TIME_LIMIT = dt.timedelta(minutes=30)
"""How long an export may read: longer than the limit of readers. A publication that has to wait for it ends it."""


class ExportInterrupted(TransientError):
    """The warehouse ended the export; nothing of it was written."""


@dataclass(frozen=True)
class Publication:
    """What the snapshot shows. ``missing_nodes``: system -> nodes without data of the night."""

    publication_id: int
    build_id: int
    night: dt.date
    published_at: dt.datetime
    missing_nodes: Mapping[str, list[str]]


def reader(*, internal: bool) -> AnyRole:
    """The role that an export logs in as: the public's where there is one, for internal marts the analyst's."""
    if internal:
        return ANALYST
    try:
        secrets.connection(conn_id(PUBLIC_ROLE))
    except CredentialError:
        return ANALYST
    return PUBLIC_ROLE


def snapshot_dsn(role: AnyRole, time_limit: dt.timedelta = TIME_LIMIT) -> str:
    """A DSN whose transactions are snapshots (REPEATABLE READ, read only) of at most ``time_limit``. Secret."""
    parts = urlsplit(dsn(role, application_name="yingshang export"))
    query = dict(parse_qsl(parts.query))
    limit = f"{int(time_limit.total_seconds() * 1000)}ms"
    wanted = {
        "default_transaction_isolation": r"repeatable\ read",
        "default_transaction_read_only": "on",
        "statement_timeout": limit,
        "transaction_timeout": limit,
        "idle_in_transaction_session_timeout": limit,
    }
    options = " ".join(f"-c {name}={value}" for name, value in wanted.items())
    query["options"] = f"{query.get('options', '')} {options}".strip()
    return urlunsplit((*parts[:3], urlencode(query).replace("+", "%20"), ""))


@contextmanager
def snapshot(role: AnyRole, time_limit: dt.timedelta = TIME_LIMIT) -> Iterator[PgConnection]:
    """A connection in one snapshot, closed at the end.

    Raises:
        CredentialError, WarehouseUnavailable: the warehouse does not answer.
        ExportInterrupted: it ended the export, for a publication or at the time limit.
    """
    with translated(), open_uri(snapshot_dsn(role, time_limit), named=f"connection {conn_id(role)!r}") as connection:
        try:
            yield connection
        except (psycopg.errors.QueryCanceled, psycopg.errors.TransactionTimeout, psycopg.errors.AdminShutdown) as error:
            raise interrupted(error) from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise CredentialError(
                f"{conn_id(role)!r} may not read what is asked for ({one_line(error)}): apply the access registry,"
                " `yingshang access apply`"
            ) from error


def interrupted(error: BaseException) -> ExportInterrupted:
    """What to say when the warehouse ended an export."""
    return ExportInterrupted(
        f"the warehouse ended the export ({one_line(error)}): a publication was waiting for it, or it took longer than"
        " its time limit. Nothing was written; run it again when no publication is near, or give it --minutes"
    )


def publication_of(connection: PgConnection) -> Publication:
    """What is published, in the snapshot of the connection.

    Raises:
        UsageError: nothing has been published yet.
    """
    try:
        row = connection.execute(
            "select publication_id, build_id, night, published_at, missing_nodes from marts.publication"
        ).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        row = None
    if row is None:
        raise UsageError("nothing has been published yet (尚未发布): run a night first, `yingshang night`")
    return Publication(*row)
