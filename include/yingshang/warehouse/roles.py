"""Making a warehouse: the technical roles with their logins, then the objects they use.

The administrator's DSN is used for this alone. Roles are cluster-wide, so their rights on the cluster stand here;
their rights on objects stand in ``ddl/002_roles.sql``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from yingshang.contracts import Contract, load_contracts
from yingshang.contracts.access import AccessRegistry, load_access
from yingshang.errors import CredentialError, TerminalError, UsageError
from yingshang.transport import secured
from yingshang.warehouse.access import (
    PLANNER,
    READERS,
    AccessChanges,
    make_function,
    make_groups,
    prepare_login,
    reader_settings,
    sync_access,
)
from yingshang.warehouse.connections import (
    ROLES,
    AnyRole,
    PgConnection,
    ReaderRole,
    Role,
    connect,
    login,
    one_line,
    open_uri,
    session,
    translated,
    with_session_options,
)
from yingshang.warehouse.logins import make_logins, uri_of
from yingshang.warehouse.migrate import migrate
from yingshang.warehouse.raw import sync_raw

DSN_VARIABLE = "YINGSHANG_WAREHOUSE_DSN"
OLDEST_SERVER = 170000
ADVISORY_LOCK = 4207002


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


def administrators_uri(dsn: str, application_name: str) -> str:
    """The administrator's DSN as a URI with our session options, safe for a network. Secret.

    Raises:
        UsageError: it is no DSN.
        CredentialError: it would lead over a network in clear.
    """
    target = _target(dsn)
    uri = with_session_options(uri_of(target, target.get("user", ""), target.get("password", "")), application_name)
    return secured(uri, DSN_VARIABLE)


def init_warehouse(
    dsn: str, *, contracts: Mapping[str, Contract] | None = None, reset_logins: bool = False
) -> InitReport:
    """Make roles, logins, schemas, ledger and raw tables as far as they are missing; save the logins' connections.

    Can be repeated and resumed anywhere. A login whose connection works keeps its password. Logins are cluster-wide:
    those of a warehouse in another database of the server are taken over only with ``reset_logins``.

    Raises:
        WarehouseUnavailable: the DSN does not answer.
        CredentialError: it is refused, or lacks the right to create roles.
        ServerTooOld: the server is older than PostgreSQL 17.
        RegistryError: the access registry is not valid.
    """
    contracts = load_contracts() if contracts is None else contracts
    registry = load_access()
    target = _target(dsn)
    uri = administrators_uri(dsn, "yingshang init")
    with translated():
        with open_uri(uri, named=DSN_VARIABLE, autocommit=True) as admin:
            check_server(admin.info.server_version)
            admin.execute("select pg_advisory_lock(%s)", (ADVISORY_LOCK,))
            warnings = prepare_server(admin, registry)
            database = admin.info.dbname
            server = admin.info.parameter_status("server_version") or str(admin.info.server_version)
            new_logins, replaced = make_logins(
                admin, {**target, "dbname": database}, reset=reset_logins, roles=_roles(registry)
            )
            with connect("owner", autocommit=True) as owner:
                migrations = migrate(owner)
                raw_changes = sync_raw(owner, contracts)
                make_function(admin, owner)
        with session("publish", application_name="yingshang init") as publish:
            changes = sync_access(publish, registry)
    return InitReport(
        server=server,
        database=database,
        new_logins=tuple(new_logins),
        migrations=tuple(migration.name for migration in migrations),
        raw_changes=tuple(raw_changes),
        warnings=(
            *warnings,
            *changes.warnings,
            *(f"{name} got a new password: connections kept elsewhere no longer work" for name in replaced),
        ),
    )


def prepare_server(admin: PgConnection, registry: AccessRegistry) -> list[str]:
    """Make what is the server's and the database's, before any object: roles, limits, rights. Returns warnings.

    Raises:
        CredentialError: the administrator lacks the right to.
    """
    try:
        _make_roles(admin)
        warnings = _grant_memberships(admin)
        _set_limits(admin)
        _grant_database(admin)
        for access in registry.active.values():
            prepare_login(admin, access)
    except psycopg.errors.InsufficientPrivilege as error:
        raise CredentialError(
            f"{DSN_VARIABLE}: {admin.info.user} may not prepare the database {admin.info.dbname}"
            f" ({one_line(error)}): it must own the database and have CREATEROLE"
        ) from error
    return warnings


def check_server(version: int) -> None:
    """Raises ServerTooOld. ``version`` as libpq numbers it: 170004 is 17.4."""
    if version < OLDEST_SERVER:
        raise ServerTooOld(
            f"PostgreSQL {OLDEST_SERVER // 10000} or newer is needed;"
            f" this server is {version // 10000}.{version % 10000}"
        )


def apply_access(dsn: str) -> tuple[AccessChanges, tuple[str, ...]]:
    """Bring logins, limits and sight up to the access registry. Returns what changed, and the logins that are new.

    ``dsn``: the administrator's, of a warehouse that :func:`init_warehouse` has made.

    Raises:
        RegistryError: the registry is not valid, or a row of it has expired; nothing is changed.
        CredentialError: the DSN is refused, or lacks the right to create roles.
    """
    registry = load_access(refuse_expired=True)
    target = _target(dsn)
    uri = administrators_uri(dsn, "yingshang access")
    with translated(), open_uri(uri, named=DSN_VARIABLE, autocommit=True) as admin:
        admin.execute("select pg_advisory_lock(%s)", (ADVISORY_LOCK,))
        try:
            for access in registry.active.values():
                prepare_login(admin, access)
        except psycopg.errors.InsufficientPrivilege as error:
            raise CredentialError(
                f"{DSN_VARIABLE}: {admin.info.user} may not make readers' logins ({one_line(error)}): use the"
                " administrator that has made the warehouse"
            ) from error
        roles = [role for role in _roles(registry) if role not in ROLES]
        made, _ = make_logins(admin, {**target, "dbname": admin.info.dbname}, reset=False, roles=roles)
    with session("publish", application_name="yingshang access") as publish:
        return sync_access(publish, registry), tuple(made)


def _roles(registry: AccessRegistry) -> list[AnyRole]:
    """The technical roles, and those of the access registry."""
    return [*ROLES, *(ReaderRole(role) for role in registry.active if role not in ROLES)]


def _make_roles(admin: PgConnection) -> None:
    for role in ROLES:
        name = login(role)
        if not admin.execute("select 1 from pg_roles where rolname = %s", (name,)).fetchone():
            try:
                admin.execute(sql.SQL("create role {} login").format(sql.Identifier(name)))
            except psycopg.errors.DuplicateObject:
                continue  # another database of this cluster is being prepared at the same moment
    make_groups(admin)


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
    wanted: dict[Role, dict[str, str]] = {"bi_reader": reader_settings(), "transform": PLANNER, "publish": PLANNER}
    for role, limits in wanted.items():
        for key, value in limits.items():
            admin.execute(
                sql.SQL("alter role {} set {} = {}").format(
                    sql.Identifier(login(role)), sql.Identifier(key), sql.Literal(value)
                )
            )


def _grant_database(admin: PgConnection) -> None:
    database = sql.Identifier(admin.info.dbname)
    everyone = sql.SQL(", ").join([*(sql.Identifier(login(role)) for role in ROLES), sql.Identifier(READERS)])
    workers = sql.SQL(", ").join(sql.Identifier(login(role)) for role in ROLES if role != "bi_reader")
    admin.execute(sql.SQL("revoke all on database {} from public").format(database))
    admin.execute("revoke all on schema public from public")
    admin.execute(sql.SQL("grant connect on database {} to {}").format(database, everyone))
    admin.execute(sql.SQL("grant temporary on database {} to {}").format(database, workers))
    admin.execute(sql.SQL("grant create on database {} to {}").format(database, sql.Identifier(login("owner"))))


def _target(dsn: str) -> dict[str, str]:
    try:
        return {key: str(value) for key, value in conninfo_to_dict(dsn).items() if value is not None}
    except psycopg.ProgrammingError as error:
        raise UsageError(f"{DSN_VARIABLE} is not a PostgreSQL DSN: {one_line(error).split(':')[0]}") from error
