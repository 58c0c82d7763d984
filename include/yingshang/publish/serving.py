"""What readers see: ``serve.<mart>`` with a partition per slot, and the view ``marts.<mart>`` on the live one.

A served table is made like the first slot that holds it and only ever gains nullable columns. Rights, comments and row
policies live here, on what no build replaces.
"""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from yingshang.errors import BuildError
from yingshang.publish.model import BreakingChange, SlotName
from yingshang.publish.session import Session
from yingshang.warehouse import granted
from yingshang.warehouse.rights import PUBLICATION, MartRights, grant_statements, policy_statements, save_rights

log = logging.getLogger(__name__)

TECHNICAL = ("_slot", "_build_id")
RESERVED = (PUBLICATION,)
ANALYSED_FROM_ROWS = 100_000
"""Up to so many rows a served table is analysed after each build."""
ANALYSED_FROM_CHANGE = 0.05
"""A larger one when its rows have changed in number by this share."""


@dataclass(frozen=True)
class Partition:
    """One partition of a served table. ``is_pending``: a DETACH CONCURRENTLY of it was broken off."""

    mart: str
    slot: str
    table: str
    is_pending: bool


@dataclass(frozen=True)
class Column:
    """A column as PostgreSQL describes it; ``type`` with its modifier."""

    name: str
    type: str
    is_not_null: bool
    comment: str | None


def partitions(conn: psycopg.Connection[Any]) -> list[Partition]:
    """All partitions of served tables, pending ones included."""
    rows = conn.execute(_PARTITIONS).fetchall()
    return [Partition(*row) for row in rows]


def served(conn: psycopg.Connection[Any]) -> set[str]:
    """The names of the served tables."""
    rows = conn.execute(
        "select relname from pg_class where relnamespace = 'serve'::regnamespace and relkind = 'p'"
    ).fetchall()
    return {row[0] for row in rows}


def row_counts(conn: psycopg.Connection[Any], slot: str) -> dict[str, int]:
    """Mart -> rows of a slot, of all served tables."""
    found = {}
    for mart in sorted(served(conn)):
        count = sql.SQL("select count(*) from {} where _slot = {}").format(sql.Identifier("serve", mart), slot)
        row = conn.execute(count).fetchone()
        found[mart] = int(row[0]) if row else 0
    return found


def finalize_pending(session: Session) -> list[str]:
    """Complete the detaches that a kill broke off. Returns the names of the tables."""
    done = []
    for one in partitions(session.conn):
        if one.is_pending:
            statement = sql.SQL("alter table {} detach partition {} finalize").format(
                sql.Identifier("serve", one.mart), sql.Identifier(one.slot, one.table)
            )
            session.run_watched(statement, f"completing the broken-off detach of {one.slot}.{one.table}")
            done.append(f"{one.slot}.{one.table}")
    return done


def detach(session: Session, one: Partition) -> float:
    """Detach a partition without locking readers out. Returns the seconds it took.

    A killed publisher leaves the partition pending; :func:`finalize_pending` completes it.
    """
    statement = sql.SQL("alter table {} detach partition {} concurrently").format(
        sql.Identifier("serve", one.mart), sql.Identifier(one.slot, one.table)
    )
    return session.run_watched(statement, f"waiting for readers of {one.mart} to detach {one.slot}")


def attach(session: Session, slot: SlotName, rights: Mapping[str, MartRights]) -> float:
    """Make ``serve`` ready for the marts of a slot and attach all of them in one transaction.

    Policies and grants of a new mart come with it, those of the others are mended where they are not as the mart says
    of itself (``rights``, by mart). Returns the seconds waited for readers.

    Raises:
        BreakingChange: a served mart is gone, or lacks a column, or has another type in it.
        BuildError: a mart is not a table with ``_slot`` and ``_build_id``.
    """
    conn, marts, began = session.conn, sorted(rights), time.monotonic()
    gone = served(conn) - set(marts)
    if gone:
        raise BreakingChange(
            f"{', '.join(sorted(gone))}: served to readers, but no longer among the marts. Put the model back, or end"
            " it with `yingshang publish --retire MART`"
        )
    found = {mart: columns(conn, slot, mart) for mart in marts}
    known = {mart: columns(conn, "serve", mart) for mart in sorted(served(conn) & set(marts))}
    _check_shape(slot, found)
    _check_additive(slot, found, known)
    waited = 0.0
    for mart in marts:
        if mart in known:
            added = [one for one in found[mart] if one.name not in {column.name for column in known[mart]}]
            if added:
                waited += session.run_briefly(
                    [_add_columns(mart, added)], f"waiting for readers of {mart} to add a column"
                )
    waited += _mend_rights(session, {mart: rights[mart] for mart in known})
    waited += _ensure_publication_view(session)
    with conn.transaction():
        save_rights(conn, rights)
        for mart in marts:
            if mart not in known:
                _create(conn, slot, mart, found[mart])
                for statement in _rights_statements(conn, mart, rights[mart]):
                    conn.execute(statement)
        for mart in marts:
            conn.execute(
                sql.SQL("alter table {} attach partition {} for values in ({})").format(
                    sql.Identifier("serve", mart), sql.Identifier(slot, mart), slot
                )
            )
    log.info("attached %d marts in %.1f s", len(marts), time.monotonic() - began)
    began = time.monotonic()
    for mart in marts:
        copy_comments(conn, (slot, mart), ("serve", mart), "table")
    analysed = [mart for mart in marts if _analyse(conn, mart)]
    log.info("analysed %d of them in %.1f s", len(analysed), time.monotonic() - began)
    return waited


def _analyse(conn: psycopg.Connection[Any], mart: str) -> bool:
    """Take statistics of a served table anew, if it is small or has grown or shrunk since; returns whether it did.

    The partitions have theirs from the build; what the planner needs here is what both slots hold together. Only
    PostgreSQL 18 can leave the partitions out.
    """
    row = conn.execute(_ROWS, {"mart": mart}).fetchone()
    known, present = row or (-1.0, 0.0)
    if known > ANALYSED_FROM_ROWS and abs(present - known) <= ANALYSED_FROM_CHANGE * known:
        return False
    statement = "analyze only {}" if conn.info.server_version >= 180000 else "analyze {}"
    conn.execute(sql.SQL(statement).format(sql.Identifier("serve", mart)))
    return True


def columns(conn: psycopg.Connection[Any], schema: str, table: str) -> list[Column]:
    """The columns of a table or view, in order; empty when there is none of this name."""
    rows = conn.execute(_COLUMNS, {"schema": schema, "table": table}).fetchall()
    return [Column(*row) for row in rows]


def outdated_views(conn: psycopg.Connection[Any], rights: Mapping[str, MartRights]) -> list[sql.Composed]:
    """The DDL that gives each mart its view, where the view is missing or another one. Run it with the flip."""
    return [one for statements in granted.view_statements(conn, rights).values() for one in statements]


def copy_comments(conn: psycopg.Connection[Any], source: tuple[str, str], target: tuple[str, str], kind: str) -> None:
    """Copy the comments of a table and its columns to another table or view where they differ."""
    wanted, present = _comments(conn, *source), _comments(conn, *target)
    for name, comment in wanted.items():
        if comment == present.get(name):
            continue
        if name is None:
            what = sql.SQL("view" if kind == "view" else "table") + sql.SQL(" ") + sql.Identifier(*target)
        else:
            what = sql.SQL("column ") + sql.Identifier(*target, name)
        conn.execute(sql.SQL("comment on {} is {}").format(what, comment))


def retirement(mart: str) -> list[sql.Composed]:
    """The DDL that ends a mart for readers and drops its tables in both slots."""
    return [
        sql.SQL("drop view if exists {}").format(sql.Identifier("marts", mart)),
        sql.SQL("drop table {}").format(sql.Identifier("serve", mart)),
        sql.SQL("delete from ops.access_mart where mart = {}").format(mart),
    ]


def incomplete(conn: psycopg.Connection[Any], slot: str) -> list[str]:
    """Served tables that lack a complete partition of the slot."""
    complete = {
        one.mart for one in partitions(conn) if one.slot == slot and one.table == one.mart and not one.is_pending
    }
    return sorted(served(conn) - complete)


def foreign_rows(conn: psycopg.Connection[Any], slot: str, marts: Iterable[str], build_id: int) -> list[str]:
    """Marts of a slot with rows that a later build, or none of this slot, has written."""
    wrong = []
    for mart in marts:
        row = conn.execute(
            sql.SQL(
                "select count(*) from (select distinct _build_id from {} where _slot = {}) as m"
                " where m._build_id > {} or not exists"
                " (select from ops.build as b where b.build_id = m._build_id and b.schema_name = {})"
            ).format(sql.Identifier("serve", mart), slot, build_id, slot)
        ).fetchone()
        if row and row[0]:
            wrong.append(mart)
    return wrong


def _check_shape(slot: str, found: Mapping[str, Sequence[Column]]) -> None:
    for mart, mart_columns in found.items():
        if mart in RESERVED:
            raise BuildError(f"a mart can't be named {mart}: marts.{mart} belongs to the publisher. Rename the model")
        names = {one.name: one for one in mart_columns}
        lacking = [name for name in TECHNICAL if name not in names]
        if not mart_columns:
            raise BuildError(f"{slot}.{mart} does not exist after a build that succeeded: is the model a table?")
        if lacking:
            raise BuildError(f"{slot}.{mart} has no column {' and no column '.join(lacking)}: each mart carries both")


def _check_additive(slot: str, found: Mapping[str, Sequence[Column]], known: Mapping[str, Sequence[Column]]) -> None:
    problems = []
    for mart, present in known.items():
        new = {one.name: one for one in found[mart]}
        lost = sorted(one.name for one in present if one.name not in new)
        if lost:
            problems.append(f"{mart} lost {', '.join(lost)}")
        problems += [
            f"{mart}.{one.name} was {one.type} and is {new[one.name].type}"
            for one in present
            if one.name in new and new[one.name].type != one.type
        ]
    if problems:
        raise BreakingChange(
            f"the build in {slot} would break readers: {'; '.join(problems)}. Marts only gain columns: put the column"
            " back, or make a new mart beside the old one. Nothing was published"
        )


def _create(conn: psycopg.Connection[Any], slot: str, mart: str, mart_columns: Sequence[Column]) -> None:
    table = sql.Identifier("serve", mart)
    conn.execute(
        sql.SQL("create table {} (like {} including comments) partition by list (_slot)").format(
            table, sql.Identifier(slot, mart)
        )
    )
    required = [one.name for one in mart_columns if one.is_not_null and one.name not in TECHNICAL]
    if required:  # the marts' own contracts say what is required; the served table has to outlive them
        conn.execute(
            sql.SQL("alter table {} {}").format(
                table,
                sql.SQL(", ").join(
                    sql.SQL("alter column {} drop not null").format(sql.Identifier(name)) for name in required
                ),
            )
        )


def _ensure_publication_view(session: Session) -> float:
    """Make ``marts.publication``: what is published, in the snapshot of the reader. Returns the seconds waited."""
    statements = granted.publication_statements(session.conn)
    if not statements:
        return 0.0
    comments = [sql.Composed([sql.SQL(comment)]) for comment in _PUBLICATION_COMMENTS]
    return session.run_briefly([*statements, *comments], "waiting for readers to change marts.publication")


def _mend_rights(session: Session, rights: Mapping[str, MartRights]) -> float:
    """Policies, grants and views of served marts, where they are not what the marts say of themselves.

    Done before the gate looks. A view gets no new column here: that comes with its data, in the flip.
    """
    conn, waited = session.conn, 0.0
    wrong = granted.differences(conn, rights, views=False)
    for mart, own in rights.items():
        if f"serve.{mart}" in wrong:
            waited += session.run_briefly(
                _rights_statements(conn, mart, own), f"waiting for readers of {mart} to change who may see it"
            )
    for mart, statements in granted.view_statements(conn, rights, grow=False).items():
        waited += session.run_briefly(statements, f"waiting for readers of {mart} to change who may see it")
    return waited


def _rights_statements(conn: psycopg.Connection[Any], mart: str, own: MartRights) -> list[sql.Composed]:
    table, names = sql.Identifier("serve", mart), [one.name for one in columns(conn, "serve", mart)]
    return [
        *policy_statements(table, own, granted.policy_names(conn, mart)),
        *grant_statements("serve", mart, own, names, granted.grantees(conn, "serve", mart)),
    ]


def _add_columns(mart: str, added: Sequence[Column]) -> sql.Composed:
    return sql.SQL("alter table {} {}").format(
        sql.Identifier("serve", mart),
        sql.SQL(", ").join(
            sql.SQL("add column {} {}").format(sql.Identifier(one.name), _type(one.type)) for one in added
        ),
    )


def _type(text: str) -> sql.SQL:
    """A type name as format_type wrote it (quoted by PostgreSQL where needed)."""
    return sql.SQL(text)  # from pg_catalog


def _comments(conn: psycopg.Connection[Any], schema: str, table: str) -> dict[str | None, str | None]:
    row = conn.execute(
        "select obj_description(c.oid, 'pg_class') from pg_class as c"
        " where c.relnamespace = %s::regnamespace and c.relname = %s",
        (schema, table),
    ).fetchone()
    found: dict[str | None, str | None] = {None: row[0] if row else None}
    return found | {one.name: one.comment for one in columns(conn, schema, table)}


_PARTITIONS: LiteralString = """
    select parent.relname, child.relnamespace::regnamespace::text, child.relname, i.inhdetachpending
    from pg_inherits as i
    inner join pg_class as parent on parent.oid = i.inhparent
    inner join pg_class as child on child.oid = i.inhrelid
    where parent.relnamespace = 'serve'::regnamespace
    order by parent.relname, child.relname
"""

# What the last ANALYZE of the served table counted (-1: there was none), and what its partitions hold now.
_ROWS: LiteralString = """
    select parent.reltuples, coalesce(sum(child.reltuples), 0)
    from pg_class as parent
    left join pg_inherits as i on i.inhparent = parent.oid
    left join pg_class as child on child.oid = i.inhrelid
    where parent.relnamespace = 'serve'::regnamespace and parent.relname = %(mart)s
    group by parent.reltuples
"""

_COLUMNS: LiteralString = """
    select a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, col_description(a.attrelid, a.attnum)
    from pg_attribute as a
    inner join pg_class as c on c.oid = a.attrelid
    where
        c.relnamespace = to_regnamespace(%(schema)s) and c.relname = %(table)s and c.relkind in ('r', 'p', 'v')
        and a.attnum > 0 and not a.attisdropped
    order by a.attnum
"""

_PUBLICATION_COMMENTS: tuple[LiteralString, ...] = (
    "comment on view marts.publication is 'The publication that all marts show now: one row.'",
    "comment on column marts.publication.publication_id is 'Number of the publication.'",
    "comment on column marts.publication.build_id is 'The build that is published; rows carry it as _build_id.'",
    "comment on column marts.publication.night is 'The business date (Asia/Shanghai) up to which sources were read.'",
    "comment on column marts.publication.published_at is 'When it was published.'",
    "comment on column marts.publication.kind is 'publish, or rollback to the publication before.'",
    "comment on column marts.publication.to_seq is 'The last batch event taken in.'",
    "comment on column marts.publication.missing_nodes is"
    " 'System -> codes of the nodes that owe data of this night; their older data is shown. A city or county is told of"
    " its own.'",
)
