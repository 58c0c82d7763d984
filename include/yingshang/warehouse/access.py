"""The access registry in PostgreSQL: logins, their groups, and the rows of ``ops.access`` that policies read.

Groups hold all rights on marts, so that a login has none of its own: one group for all readers, one per sensitivity (a
higher one is a member of the lower), one per level of division, so that each level has the policy that the planner
understands best. The administrator makes groups and logins; from then on the publisher's login keeps them as the
registry says, each night, through one function that can do this and nothing else.
"""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import LiteralString

from psycopg import sql
from psycopg.rows import class_row

from yingshang.contracts.access import SENSITIVITIES, Access, AccessRegistry, Sensitivity, load_access
from yingshang.settings import settings
from yingshang.warehouse.connections import PgConnection, login, session
from yingshang.warehouse.logins import MARK

log = logging.getLogger(__name__)

READERS = "yingshang_bi"
"""All logins of BI tools."""
SEES_PROVINCE, SEES_CITY, SEES_COUNTY = "yingshang_sees_province", "yingshang_sees_city", "yingshang_sees_county"
CONNECTIONS = 20
"""How many connections a reader's login may have at once."""
PLANNER = {"random_page_cost": "1.1", "jit": "off"}
"""Touched-keys builds and readers look rows up by key; at the default cost of 4 the planner scans instead."""


def sees(sensitivity: Sensitivity) -> str:
    """The group that may read what is of this sensitivity."""
    return f"yingshang_sees_{sensitivity}"


GROUPS = (READERS, SEES_PROVINCE, SEES_CITY, SEES_COUNTY, *map(sees, SENSITIVITIES))


@dataclass(frozen=True)
class Sight:
    """A row of ``ops.access``."""

    login: str
    role: str
    division_code: str
    sensitivity: Sensitivity
    approver: str
    review_date: dt.date
    expires_on: dt.date
    purpose: str
    sees_all: bool
    node_codes: list[str]
    city_code: str | None
    county_code: str | None

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that its login is a member of."""
        level = SEES_PROVINCE if self.sees_all else SEES_CITY if self.city_code else SEES_COUNTY
        return READERS, sees(self.sensitivity), level


@dataclass(frozen=True)
class AccessChanges:
    """What was brought up to the registry.

    Attributes:
        granted: roles that see something now and did not before, or see something else.
        ended: roles that see nothing any more.
        waiting: roles that have no login yet: an administrator has to apply the registry.
        warnings: what a person has to look at.
    """

    granted: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = [
            f"{name}: {', '.join(roles)}" for name, roles in (("granted", self.granted), ("ended", self.ended)) if roles
        ]
        return "; ".join(said) or "as the registry says"


def sight(registry: AccessRegistry, access: Access) -> Sight:
    """What a row of the registry means for policies."""
    level, code = registry.level(access), access.division_code
    return Sight(
        access.login, access.role, code, access.sensitivity, access.approver, access.review_date, access.expires_on,
        access.purpose,
        sees_all=level == "province",
        node_codes=[] if level == "province" else list(registry.below(code)),
        city_code=f"{code}000000" if level == "city" else None,
        county_code=f"{code}000000" if level == "county" else None,
    )  # fmt: skip


def sights(conn: PgConnection) -> list[Sight]:
    """The rows of ``ops.access``, by role."""
    query = sql.SQL("select {} from ops.access order by role").format(_COLUMNS)
    with conn.cursor(row_factory=class_row(Sight)) as cursor:
        return cursor.execute(query).fetchall()


def wanted_sights(conn: PgConnection, registry: AccessRegistry) -> dict[str, Sight]:
    """What ``ops.access`` has to say, by role. A role without a login sees nothing, and waits for an administrator."""
    logins = {str(name) for (name,) in conn.execute("select rolname from pg_roles where rolname ~ '^yingshang_bi_'")}
    return {role: sight(registry, one) for role, one in registry.active.items() if one.login in logins}


def keep_access() -> AccessChanges:
    """Bring sight up to the registry, as the night does: nobody has to be there for it.

    A row that has expired or is gone from the registry loses its groups, its login and its running sessions. A new row
    waits until an administrator has made its login.

    Raises:
        RegistryError: the registry is not valid; nothing is changed.
    """
    registry = load_access()
    with session("publish", application_name="yingshang access") as conn:
        changes = sync_access(conn, registry)
    for warning in changes.warnings:
        log.warning("%s", warning)
    if changes.granted or changes.ended:
        log.info("access: %s", changes)
    return changes


def sync_access(conn: PgConnection, registry: AccessRegistry) -> AccessChanges:
    """As :func:`keep_access`, in the transaction of ``conn`` (the publisher's login)."""
    conn.execute("select pg_advisory_xact_lock(4207006)")
    present = {one.role: one for one in sights(conn)}
    wanted = wanted_sights(conn, registry)
    waiting = tuple(role for role in registry.active if role not in wanted)
    ended = tuple(role for role in present if role not in wanted)
    granted = tuple(role for role, one in wanted.items() if present.get(role) != one)
    for role in (*ended, *granted):
        conn.execute("delete from ops.access where role = %s", (role,))
    for role in granted:
        conn.execute(_INSERT, asdict(wanted[role]))
    for one in wanted.values():
        conn.execute(_SET_GROUPS, (one.login, list(one.groups), one.expires_on))
    for role in ended:
        conn.execute(_SET_GROUPS, (present[role].login, [], None))
        conn.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where usename = %s and datname = current_database() and pg_has_role('pg_signal_backend', 'usage')",
            (present[role].login,),
        )
    return AccessChanges(
        granted,
        ended,
        waiting,
        (
            *registry.warnings,
            *(
                f"{registry.path}: {role} has no login yet: an administrator makes it with `yingshang access apply`"
                for role in waiting
            ),
        ),
    )


def make_groups(admin: PgConnection) -> None:
    """The groups, as far as they are missing. ``admin``: may create roles."""
    for name in GROUPS:
        if not admin.execute("select 1 from pg_roles where rolname = %s", (name,)).fetchone():
            admin.execute(sql.SQL("create role {} nologin").format(sql.Identifier(name)))
    for lower, higher in pairwise(SENSITIVITIES):
        admin.execute(
            sql.SQL("grant {} to {} with inherit true, set false").format(
                sql.Identifier(sees(lower)), sql.Identifier(sees(higher))
            )
        )


def prepare_login(admin: PgConnection, access: Access) -> None:
    """Make or open the login of a row, with its limits. Groups and password come after it."""
    name = sql.Identifier(access.login)
    if not admin.execute("select 1 from pg_roles where rolname = %s", (access.login,)).fetchone():
        admin.execute(sql.SQL("create role {} login").format(name))
    admin.execute(
        sql.SQL("alter role {} login connection limit {} valid until {}").format(
            name, sql.Literal(CONNECTIONS), sql.Literal(f"{access.expires_on} 00:00 Asia/Shanghai")
        )
    )
    for key, value in reader_settings().items():
        admin.execute(sql.SQL("alter role {} set {} = {}").format(name, sql.Identifier(key), sql.Literal(value)))
    # Without the group it could not even connect; without a row of ops.access it sees nothing yet.
    admin.execute(sql.SQL("grant {} to {} with inherit true, set false").format(sql.Identifier(READERS), name))
    admin.execute(sql.SQL("grant {} to {} with inherit false, set true").format(name, sql.Identifier(login("publish"))))


def reader_settings() -> dict[str, str]:
    """Settings of a reader's login: limits shorter than the wait of a publication, so that none is ended for one."""
    limit = f"{int(settings().reader_wait_seconds * 900)}ms"
    return {
        "default_transaction_read_only": "on",
        "statement_timeout": limit,
        "transaction_timeout": limit,
        "idle_in_transaction_session_timeout": limit,
        "search_path": "marts",
        "timezone": "Asia/Shanghai",
        **PLANNER,
    }


def make_function(admin: PgConnection, owner: PgConnection) -> None:
    """The one door through which the publisher's login gives readers their groups and takes them away."""
    is_super = admin.execute("select rolsuper from pg_roles where rolname = current_user").fetchone()
    name = sql.Identifier(admin.info.user)
    if not (is_super and is_super[0]):
        owner.execute(sql.SQL("grant usage, create on schema ops to {}").format(name))
    admin.execute(_FUNCTION)
    admin.execute("revoke all on function ops.set_reader_groups(name, name[], date) from public")
    admin.execute("grant execute on function ops.set_reader_groups(name, name[], date) to yingshang_publish")
    if not (is_super and is_super[0]):
        owner.execute(sql.SQL("revoke create on schema ops from {}").format(name))


_COLUMNS = sql.SQL(", ").join(sql.Identifier(one.name) for one in fields(Sight))
_INSERT = sql.SQL("insert into ops.access ({}) values ({})").format(
    _COLUMNS, sql.SQL(", ").join(sql.Placeholder(one.name) for one in fields(Sight))
)
_SET_GROUPS: LiteralString = "select ops.set_reader_groups(%s::name, %s::name[], %s::date)"

# Only logins named yingshang_bi_*, that are no superusers, and that belong to this database's warehouse or to none yet
# (logins are of the whole server, and another database's are none of our business). Only the readers' groups.
_FUNCTION = sql.SQL("""
create or replace function ops.set_reader_groups(reader name, groups name[], expires_on date) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    known constant name[] := {groups};
    has name[];
    one name;
    mark text;
begin
    if reader !~ '^yingshang_bi_[a-z0-9_]+$' or not groups <@ known then
        raise exception 'not a reader, or not a group of readers: %, %', reader, groups;
    end if;
    select shobj_description(r.oid, 'pg_authid') into mark
    from pg_roles as r
    where r.rolname = reader and not r.rolsuper;
    if not found then
        return false;
    end if;
    if mark like {mark} || '%'
        and mark <> {mark} || current_database()
    then
        return false;
    end if;
    select coalesce(array_agg(g.rolname), '{{}}') into has
    from pg_auth_members as m
    inner join pg_roles as g on g.oid = m.roleid
    where m.member = reader::regrole and g.rolname = any (known);
    foreach one in array known loop
        if one = any (groups) and not one = any (has) then
            execute format('grant %I to %I with inherit true, set false', one, reader);
        elsif one = any (has) and not one = any (groups) then
            execute format('revoke %I from %I', one, reader);
        end if;
    end loop;
    if cardinality(groups) = 0 then
        execute format('alter role %I nologin', reader);
    else
        execute format('alter role %I valid until %L', reader, expires_on::text || ' 00:00 Asia/Shanghai');
    end if;
    return true;
end
$$
""").format(groups=sql.Literal(list(GROUPS)), mark=sql.Literal(MARK))
