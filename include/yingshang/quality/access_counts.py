"""What a role sees of a build, counted as that role; and what it should see, counted past all policies."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from yingshang.contracts.access import SENSITIVITIES, AccessRegistry
from yingshang.warehouse import PgConnection
from yingshang.warehouse.access import Sight, sight, sights
from yingshang.warehouse.granted import view_statements
from yingshang.warehouse.rights import TWELVE_DIGITS, MartRights

PRETENDED = -1
"""Number of the publication that is never committed."""

Places = tuple[str | None, ...]
Counts = tuple[int, ...]


@dataclass(frozen=True)
class Tried:
    """What came of trying roles: messages, agreeing pairs of role and mart, rows seen, rows of others not seen."""

    problems: tuple[str, ...] = ()
    agreeing: int = 0
    seen: int = 0
    hidden: int = 0

    def __add__(self, other: "Tried") -> "Tried":
        return Tried(
            self.problems + other.problems,
            self.agreeing + other.agreeing,
            self.seen + other.seen,
            self.hidden + other.hidden,
        )


def try_roles(conn: PgConnection, build_id: int, rights: Mapping[str, MartRights], registry: AccessRegistry) -> Tried:
    """Become every role in turn and count every mart of a build; what PostgreSQL does is all that is looked at."""
    row = conn.execute("select slot from ops.build where build_id = %s", (build_id,)).fetchone()
    assert row is not None  # noqa: S101 - asked for before
    tried, owned = Tried(), {mart: owner_counts(conn, row[0], mart, own) for mart, own in rights.items()}
    with pretending(conn, build_id, rights):
        for one in sights(conn):
            tried = tried + _try_role(conn, sight(registry, registry.active[one.role]), rights, owned)
    return tried


@contextmanager
def pretending(conn: PgConnection, build_id: int, rights: Mapping[str, MartRights]) -> Iterator[None]:
    """As if the build had been published: for this session alone, and never committed.

    A mart that has no view yet gets one. Views that are there stay as they are: readers would wait for their change.
    """
    with conn.transaction(force_rollback=True):
        there = {name for (name,) in conn.execute("select viewname from pg_views where schemaname = 'marts'")}
        for statements in view_statements(
            conn, {mart: own for mart, own in rights.items() if mart not in there}
        ).values():
            for statement in statements:
                conn.execute(statement)
        conn.execute(
            "insert into ops.publication (publication_id, kind, build_id, slot, night, to_seq)"
            " overriding system value select %s, 'publish', build_id, slot, night, to_seq from ops.build"
            " where build_id = %s",
            (PRETENDED, build_id),
        )
        conn.execute(
            "insert into ops.live (slot, build_id, publication_id)"
            " select slot, build_id, publication_id from ops.publication where publication_id = %s"
            " on conflict (only_row) do update"
            " set slot = excluded.slot, build_id = excluded.build_id, publication_id = excluded.publication_id",
            (PRETENDED,),
        )
        yield


def owner_counts(conn: PgConnection, slot: str, mart: str, rights: MartRights) -> dict[Places, Counts]:
    """Rows in the slot itself by division: how many, and how many of them show each small figure to everyone."""
    figures = [
        sql.SQL("count({}) filter (where not coalesce(({}), false))").format(sql.Identifier(name), sql.SQL(condition))
        for name, condition in sorted(rights.small_figures.items())
    ]
    whole = [sql.SQL("count({})").format(sql.Identifier(name)) for name in sorted(rights.small_figures)]
    places = [sql.Identifier(name) for name in rights.division]
    query = sql.SQL("select {} from {}").format(
        sql.SQL(", ").join([*places, sql.SQL("count(*)"), *figures, *whole]), sql.Identifier(slot, mart)
    )
    if places:
        query += sql.SQL(" group by {}").format(sql.SQL(", ").join(places))
    width = len(places)
    return {tuple(row[:width]): tuple(row[width:]) for row in conn.execute(query).fetchall()}


def _try_role(
    conn: PgConnection, one: Sight, rights: Mapping[str, MartRights], owned: Mapping[str, Mapping[Places, Counts]]
) -> Tried:
    """Become the role, and count."""
    problems, agreeing, seen, hidden = list[str](), 0, 0, 0
    ceiling = SENSITIVITIES.index(one.sensitivity)
    readable = [mart for mart, own in rights.items() if SENSITIVITIES.index(own.sensitivity) <= ceiling]
    with conn.transaction(force_rollback=True):
        conn.execute(sql.SQL("set local role {}").format(sql.Identifier(one.login)))
        found = role_counts(conn, one, readable, rights)
        if isinstance(found, str):
            return Tried((f"role {one.role}: {found}",))
        for mart, own in rights.items():
            total = sum(counts[0] for counts in owned[mart].values())
            above = [name for name in own.columns if SENSITIVITIES.index(own.columns[name]) > ceiling]
            wrong = []
            if mart in readable:
                expected = _expected(one, own, owned[mart])
                rows = sum(counts[0] for counts in found[mart].values())
                hidden, seen = hidden + total - rows, seen + rows
                if found[mart] != expected:
                    wanted = sum(counts[0] for counts in expected.values())
                    wrong.append(
                        f"sees {rows} rows, the owner counts {wanted} for it of {total}"
                        + ("" if rows != wanted else " (of other divisions, or other small figures)")
                    )
            else:
                hidden, above = hidden + total, ["_build_id"]
            wrong += [f"may read {name}" for name in above if _may_read(conn, mart, name)]
            agreeing += not wrong
            problems += [f"role {one.role}, marts.{mart}: {text}" for text in wrong]
    return Tried(tuple(problems), agreeing, seen, hidden)


def role_counts(
    conn: PgConnection, one: Sight, readable: Sequence[str], rights: Mapping[str, MartRights]
) -> dict[str, dict[Places, Counts]] | str:
    """Mart -> division -> counts, as the current role sees them, in one statement. A text says why not."""
    parts = []
    width = max((len(rights[mart].division) for mart in readable), default=0)
    figures = max((len(rights[mart].small_figures) for mart in readable), default=0)
    for mart in readable:
        own = rights[mart]
        grouped = [] if one.sees_all else [sql.Identifier(name) for name in own.division]
        places = [*grouped, *[sql.SQL("null::text")] * (width - len(grouped))]
        counted = [sql.SQL("count({})").format(sql.Identifier(name)) for name in sorted(own.small_figures)]
        counts = [sql.SQL("count(*)"), *counted, *[sql.SQL("0")] * (figures - len(counted))]
        part = sql.SQL("select {}, {} from {}").format(
            sql.Literal(mart), sql.SQL(", ").join([*places, *counts]), sql.Identifier("marts", mart)
        )
        if grouped:
            part += sql.SQL(" group by {}").format(sql.SQL(", ").join(grouped))
        parts.append(part)
    found: dict[str, dict[Places, Counts]] = {mart: {} for mart in readable}
    try:
        with conn.transaction():
            who = conn.execute("select current_user::text, count(*) from marts.publication").fetchone()
            rows = conn.execute(sql.SQL(" union all ").join(parts)).fetchall() if parts else []
    except psycopg.errors.InsufficientPrivilege as error:
        return " ".join(str(error).split())
    if who != (one.login, 1):
        return f"it is {who[0] if who else 'nobody'}, and sees {who[1] if who else 0} publications"
    for mart, *values in rows:
        own = rights[mart]
        key = tuple(values[: 0 if one.sees_all else len(own.division)])
        if values[width]:
            found[mart][key] = tuple(values[width : width + 1 + len(own.small_figures)])
    return found


def _expected(one: Sight, rights: MartRights, owned: Mapping[Places, Counts]) -> dict[Places, Counts]:
    """What the role has to see of what the owner has counted: the divisions by the registry, not by the policies."""
    small = len(rights.small_figures)
    shown: dict[Places, Counts] = {}
    for places, counts in owned.items():
        if not counts[0]:
            continue
        own_division = not rights.division or any(
            _belongs(one, column, code) for column, code in zip(rights.division, places, strict=True)
        )
        if one.sees_all:
            full = one.sensitivity != "public"
            figures = counts[1 + small :] if full else counts[1 : 1 + small]
            before = shown.get((), (0,) * (1 + small))
            shown[()] = tuple(a + b for a, b in zip(before, (counts[0], *figures), strict=True))
        elif own_division:
            shown[places] = counts[: 1 + small]
    return shown


def _belongs(one: Sight, column: str, code: str | None) -> bool:
    if code is None:
        return False
    if column in TWELVE_DIGITS:
        level = {"city_code": one.city_code, "county_code": one.county_code}[column]
        return code == level
    return code in one.node_codes


def _may_read(conn: PgConnection, mart: str, column: str) -> bool:
    """Whether the current role gets through with a query that names the column."""
    try:
        with conn.transaction():
            conn.execute(
                sql.SQL("select {} from {} limit 0").format(sql.Identifier(column), sql.Identifier("marts", mart))
            )
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True
