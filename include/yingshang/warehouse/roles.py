"""Making a warehouse: the technical roles with their logins, then the objects they use.

The administrator's DSN is used for this alone. Roles are cluster-wide, so their rights on the cluster stand here;
their rights on objects stand in ``ddl/002_roles.sql``.
"""

from __future__ import annotations

import os
import secrets as random
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from yingshang import secrets
from yingshang.contracts import Contract, load_contracts
from yingshang.errors import CredentialError, TerminalError, UsageError, YingshangError
from yingshang.settings import settings
from yingshang.warehouse.connections import (
    ROLES,
    PgConnection,
    Role,
    conn_id,
    connect,
    login,
    one_line,
    open_uri,
    with_session_options,
)
from yingshang.warehouse.migrate import migrate
from yingshang.warehouse.raw import sync_raw

DSN_VARIABLE = "YINGSHANG_WAREHOUSE_DSN"
OLDEST_SERVER = 170000
ADVISORY_LOCK = 4207002
PLANNER = {"random_page_cost": "1.1", "jit": "off"}
"""Touched-keys builds and readers look rows up by key; at the default cost of 4 the planner scans instead."""


class ServerTooOld(TerminalError):
    """The PostgreSQL server lacks what publications need (transaction_timeout, 17)."""


@dataclass(frozen=True)
class InitReport:
    """What `yingshang warehouse init` found and made."""

    server: str
    database: str
    new_logins: tuple[str, ...]
    migrations: tuple[str, ...]
    raw_changes: tuple[str, ...]
    warnings: tuple[str, ...]


def admin_dsn() -> str:
    """The administrator's DSN from the environment. Raises UsageError."""
    found = os.environ.get(DSN_VARIABLE, "")
    if not found:
        raise UsageError(
            f"{DSN_VARIABLE} is not set: give the DSN of a PostgreSQL role that may create roles and schemas,"
            " such as postgresql://admin@host/warehouse"
        )
    return found


def init_warehouse(dsn: str, *, contracts: Mapping[str, Contract] | None = None) -> InitReport:
    """Make roles, logins, schemas, ledger and raw tables as far as they are missing; save the logins' connections.

    Can be repeated and resumed anywhere. A login whose saved connection works keeps its password.

    Raises:
        WarehouseUnavailable: the DSN does not answer.
        CredentialError: it is refused, or lacks the right to create roles.
        ServerTooOld: the server is older than PostgreSQL 17.
    """
    contracts = load_contracts() if contracts is None else contracts
    target = _target(dsn)
    uri = with_session_options(_uri(target, target.get("user", ""), target.get("password", "")), "yingshang init")
    with open_uri(uri, named=DSN_VARIABLE, autocommit=True) as admin:
        check_server(admin.info.server_version)
        admin.execute("select pg_advisory_lock(%s)", (ADVISORY_LOCK,))
        try:
            _make_roles(admin)
            warnings = _grant_memberships(admin)
            _set_limits(admin)
            _grant_database(admin)
        except psycopg.errors.InsufficientPrivilege as error:
            raise CredentialError(
                f"{DSN_VARIABLE}: {admin.info.user} may not prepare the database {admin.info.dbname}"
                f" ({one_line(error)}): it must own the database and have CREATEROLE"
            ) from error
        database = admin.info.dbname
        server = admin.info.parameter_status("server_version") or str(admin.info.server_version)
        new_logins = _make_logins(admin, {**target, "dbname": database})
    with connect("owner", autocommit=True) as owner:
        migrations = migrate(owner)
        raw_changes = sync_raw(owner, contracts)
    return InitReport(
        server=server,
        database=database,
        new_logins=tuple(new_logins),
        migrations=tuple(migration.name for migration in migrations),
        raw_changes=tuple(raw_changes),
        warnings=tuple(warnings),
    )


def check_server(version: int) -> None:
    """Raises ServerTooOld. ``version`` as libpq numbers it: 170004 is 17.4."""
    if version < OLDEST_SERVER:
        raise ServerTooOld(
            f"PostgreSQL {OLDEST_SERVER // 10000} or newer is needed;"
            f" this server is {version // 10000}.{version % 10000}"
        )


def _make_roles(admin: PgConnection) -> None:
    for role in ROLES:
        name = login(role)
        if not admin.execute("select 1 from pg_roles where rolname = %s", (name,)).fetchone():
            try:
                admin.execute(sql.SQL("create role {} login").format(sql.Identifier(name)))
            except psycopg.errors.DuplicateObject:
                continue  # another database of this cluster is being prepared at the same moment


def _grant_memberships(admin: PgConnection) -> list[str]:
    """Memberships beyond our own roles may be out of an administrator's power: then it is said what is lost."""
    publish = sql.Identifier(login("publish"))
    admin.execute(sql.SQL("grant {} to {}").format(sql.Identifier(login("transform")), publish))
    warnings = []
    for role, loss in (
        ("pg_signal_backend", "it cannot end readers that block a publication, which is then postponed"),
        ("pg_read_all_stats", "it cannot see since when readers run, and waits for all of them"),
    ):
        try:
            admin.execute(sql.SQL("grant {} to {}").format(sql.Identifier(role), publish))
        except psycopg.errors.InsufficientPrivilege:
            warnings.append(f"{login('publish')} did not get {role}: {loss}. Let a superuser grant it.")
    return warnings


def _set_limits(admin: PgConnection) -> None:
    """Readers get time limits shorter than the wait of a publication, so that none is ended for one."""
    limit = f"{int(settings().reader_wait_seconds * 900)}ms"
    reader = {
        "default_transaction_read_only": "on",
        "statement_timeout": limit,
        "transaction_timeout": limit,
        "idle_in_transaction_session_timeout": limit,
        "search_path": "marts",
        "timezone": "Asia/Shanghai",
        **PLANNER,
    }
    wanted: dict[Role, dict[str, str]] = {"bi_reader": reader, "transform": PLANNER, "publish": PLANNER}
    for role, limits in wanted.items():
        for key, value in limits.items():
            admin.execute(
                sql.SQL("alter role {} set {} = {}").format(
                    sql.Identifier(login(role)), sql.Identifier(key), sql.Literal(value)
                )
            )


def _grant_database(admin: PgConnection) -> None:
    database = sql.Identifier(admin.info.dbname)
    everyone = sql.SQL(", ").join(sql.Identifier(login(role)) for role in ROLES)
    workers = sql.SQL(", ").join(sql.Identifier(login(role)) for role in ROLES if role != "bi_reader")
    admin.execute(sql.SQL("grant connect on database {} to {}").format(database, everyone))
    admin.execute(sql.SQL("grant temporary on database {} to {}").format(database, workers))
    admin.execute(sql.SQL("grant create on database {} to {}").format(database, sql.Identifier(login("owner"))))


def _make_logins(admin: PgConnection, target: Mapping[str, str]) -> list[str]:
    """Give a password to each login whose saved connection does not lead here, and save it. Returns these logins."""
    made: list[str] = []
    for role in ROLES:
        if _works(role, target):
            continue
        password = random.token_urlsafe(24)
        coded = admin.pgconn.encrypt_password(password.encode(), login(role).encode(), b"scram-sha-256").decode()
        admin.execute(
            sql.SQL("alter role {} login password {}").format(sql.Identifier(login(role)), sql.Literal(coded))
        )
        secrets.save_connections({conn_id(role): _uri(target, login(role), password)})
        if not _works(role, target):
            raise CredentialError(
                f"the new login {login(role)} is not accepted at {target.get('host')}:{target.get('port', 5432)}:"
                f" is AIRFLOW_CONN_{conn_id(role).upper()} set to another one, or does pg_hba.conf refuse it?"
            )
        made.append(login(role))
    return made


def _works(role: Role, target: Mapping[str, str]) -> bool:
    try:
        known = secrets.connection(conn_id(role))
        if known.path.lstrip("/") != quote(target["dbname"]) or str(known.port or 5432) != target.get("port", "5432"):
            return False
        connect(role).close()
    except YingshangError:
        return False
    return True


def _target(dsn: str) -> dict[str, str]:
    try:
        return {key: str(value) for key, value in conninfo_to_dict(dsn).items() if value is not None}
    except psycopg.ProgrammingError as error:
        raise UsageError(f"{DSN_VARIABLE} is not a PostgreSQL DSN: {one_line(error).split(':')[0]}") from error


def _uri(target: Mapping[str, str], user: str, password: str) -> str:
    host = target.get("host", "")
    query = {key: value for key, value in target.items() if key not in ("host", "port", "user", "password", "dbname")}
    if host.startswith("/"):
        query["host"], host = host, ""
    shown_host = f"[{host}]" if ":" in host else host
    port = f":{target['port']}" if "port" in target else ""
    credentials = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    uri = f"postgresql://{credentials}@{shown_host}{port}/{quote(target.get('dbname', ''))}"
    return f"{uri}?{urlencode(query)}" if query else uri
