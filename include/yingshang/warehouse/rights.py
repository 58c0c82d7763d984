"""What each mart says of itself, and the policies, grants and views that follow from it: one form for all marts.

A mart's model has in its ``config.meta``:

* ``sensitivity``: public, internal or confidential. Readers below it may not read the mart.
* ``division``: the column, or columns, by which its rows belong to a division: ``city_code`` and ``county_code`` hold
  12 digits, any other column a node's 6; ``none``: reference data, whose rows everyone sees who may read the mart.
* ``small_figures`` (optional): column -> SQL condition under which it is nobody's below the province.

and a column may have a ``sensitivity`` above the mart's in its own ``config.meta``.

What PostgreSQL has is compared with what follows from this in :mod:`yingshang.warehouse.granted`, so that the same
words say what to make, what to mend and what stops a publication.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from yingshang.contracts.access import SENSITIVITIES, Sensitivity
from yingshang.errors import BuildError
from yingshang.warehouse.access import READERS, SEES_CITY, SEES_COUNTY, SEES_PROVINCE, sees
from yingshang.warehouse.connections import login

Conn = psycopg.Connection[Any]
NO_DIVISION = "none"
PUBLICATION = "publication"
PERSONAL = re.compile(r"_token$|^caller_|^complainant_")
"""Columns that tell persons apart, even under a pseudonym: confidential, whatever the mart."""
TWELVE_DIGITS = ("city_code", "county_code")
"""Division columns that hold 12 digits; any other holds a node's 6."""
# What a division column is compared with. One value where the level has one: the planner then knows how few rows that
# is, and takes the index; of an array it knows no length.
_MINE: dict[str, dict[str, LiteralString]] = {
    "city": {
        "node_code": "any ((select a.node_codes from ops.my_access as a)::text[])",
        "city_code": "(select a.city_code from ops.my_access as a)",
    },
    "county": {
        "node_code": "(select a.node_codes[1] from ops.my_access as a)",
        "county_code": "(select a.county_code from ops.my_access as a)",
    },
}


@dataclass(frozen=True)
class MartRights:
    """What a mart says of itself.

    Attributes:
        division: the columns by which its rows belong to a division; none: reference data.
        columns: those above the mart's sensitivity, with theirs.
        small_figures: column -> condition under which only the province sees it.
    """

    sensitivity: Sensitivity
    division: tuple[str, ...] = ()
    columns: Mapping[str, Sensitivity] = field(default_factory=dict)
    small_figures: Mapping[str, str] = field(default_factory=dict)

    def sensitivity_of(self, column: str) -> Sensitivity:
        """Of a column: its own, else the mart's."""
        return self.columns.get(column, self.sensitivity)

    def as_json(self) -> str:
        """For ``ops.access_mart``."""
        return json.dumps(asdict(self), sort_keys=True)


def read_rights(mart: str, meta: Mapping[str, Any], columns: Mapping[str, Mapping[str, Any]]) -> MartRights:
    """The rights of a mart from its model's meta and that of its columns (every column is a key).

    Raises:
        BuildError: something is missing or unknown: the mart would be nobody's or everybody's.
    """
    where = f"mart {mart}: config.meta"
    sensitivity = meta.get("sensitivity")
    if sensitivity not in SENSITIVITIES:
        raise BuildError(
            f"{where} says {sensitivity!r} of its sensitivity: write one of {', '.join(SENSITIVITIES)}, so that it is"
            " known who may read it. Nothing was built"
        )
    said = meta.get("division")
    if not said:
        raise BuildError(
            f"{where} does not say by which column its rows belong to a division: write `division: <column>`, or"
            f" `division: {NO_DIVISION}` for reference data that everyone may see. Nothing was built"
        )
    division = () if said == NO_DIVISION else (said,) if isinstance(said, str) else tuple(said)
    small = dict(meta.get("small_figures") or {})
    lost = sorted({*division, *small} - set(columns))
    if lost:
        raise BuildError(f"{where} names {', '.join(lost)}, which are no columns of it. Nothing was built")
    own: dict[str, Sensitivity] = {}
    for name, about in columns.items():
        level = about.get("sensitivity", sensitivity)
        if level not in SENSITIVITIES:
            raise BuildError(f"{mart}.{name} has the sensitivity {level!r}: write one of {', '.join(SENSITIVITIES)}")
        if SENSITIVITIES.index(level) > SENSITIVITIES.index(sensitivity):
            own[name] = level
        if PERSONAL.search(name) and level != "confidential":
            raise BuildError(
                f"{mart}.{name} tells persons apart: give the column `config: {{meta: {{sensitivity: confidential}}}}`,"
                " so that only the province's confidential roles read it. Nothing was built"
            )
    return MartRights(sensitivity, division, own, small)


def saved_rights(conn: Conn) -> dict[str, MartRights]:
    """What the served marts say of themselves, as the last attach has written it."""
    found = {}
    for mart, rights in conn.execute("select mart, rights from ops.access_mart"):
        found[mart] = MartRights(**{**rights, "division": tuple(rights["division"])})
    return found


def save_rights(conn: Conn, rights: Mapping[str, MartRights]) -> None:
    """Write what the marts say of themselves to ``ops.access_mart``."""
    for mart, one in rights.items():
        conn.execute(
            "insert into ops.access_mart (mart, rights) values (%(mart)s, %(rights)s)"
            " on conflict (mart) do update set rights = excluded.rights, changed_at = clock_timestamp()"
            " where access_mart.rights <> excluded.rights",
            {"mart": mart, "rights": one.as_json()},
        )


# What there should be ------------------------------------------------------------------------------------------------


def policies(rights: MartRights) -> dict[str, tuple[str, str, sql.Composable]]:
    """Name -> (command, role, condition). The subqueries do not depend on the row: each runs once per query."""
    found: dict[str, tuple[str, str, sql.Composable]] = {"publisher": ("all", login("publish"), sql.SQL("true"))}
    if not rights.division:
        anyone = sql.SQL("(select a.sees_all is not null from ops.my_access as a)")
        return found | {"reference": ("select", READERS, anyone)}
    found["province"] = ("select", SEES_PROVINCE, sql.SQL("(select a.sees_all from ops.my_access as a)"))
    for level, group in (("city", SEES_CITY), ("county", SEES_COUNTY)):
        conditions = [
            sql.SQL("{} = {}").format(sql.Identifier(column), sql.SQL(mine))
            for column in rights.division
            if (mine := _MINE[level].get(column if column in TWELVE_DIGITS else "node_code"))
        ]
        found[level] = ("select", group, sql.SQL(" or ").join(conditions) if conditions else sql.SQL("false"))
    return found


def grants(rights: MartRights, columns: Iterable[str], schema: str) -> dict[str, frozenset[str] | None]:
    """Group -> the columns it may select, None for all of the mart. A higher group has those of the lower ones too.

    Columns are told apart on the view alone: PostgreSQL asks of whoever reads a view for all columns of the table that
    the view names. Nobody reaches the table but through the view.
    """
    if not rights.columns or schema == "serve":
        return {sees(rights.sensitivity): None}
    found: dict[str, frozenset[str] | None] = {}
    for level in SENSITIVITIES:
        names = frozenset(name for name in columns if rights.sensitivity_of(name) == level)
        if names:
            found[sees(level)] = names
    return found


def view_query(mart: str, rights: MartRights, columns: Sequence[tuple[str, str]]) -> sql.Composed:
    """The query of ``marts.<mart>``: the live slot; small figures are empty for whoever may not see them.

    ``columns``: name and type, in order.
    """
    shown = [_shown(name, kind, rights.small_figures.get(name)) for name, kind in columns]
    return sql.SQL("select {} from {} where _slot = (select l.slot from ops.live as l)").format(
        sql.SQL(", ").join(shown), sql.Identifier("serve", mart)
    )


def _shown(name: str, kind: str, condition: str | None) -> sql.Composable:
    column = sql.Identifier(name)
    if condition is None:
        return column
    return sql.SQL(
        "case when not coalesce((select a.sees_small_figures from ops.my_access as a), false) and ({})"
        " then null::{} else {} end as {}"
    ).format(sql.SQL(condition), sql.SQL(kind), column, column)


# Readers of the province see all missing nodes, others those of their own. It runs with its owner's rights.
PUBLICATION_QUERY: LiteralString = """
    select
        p.publication_id, p.build_id, p.night, p.published_at, p.kind, p.to_seq,
        case
            when a.sees_all is not false then p.missing_nodes
            else (
                select coalesce(jsonb_object_agg(own.system, own.nodes), '{}')
                from (
                    select m.key as system, jsonb_agg(n.code order by n.code) as nodes
                    from jsonb_each(p.missing_nodes) as m
                    cross join lateral jsonb_array_elements_text(m.value) as n (code)
                    where n.code = any (a.node_codes)
                    group by m.key
                ) as own
            )
        end as missing_nodes
    from ops.live as l
    inner join ops.publication as p on p.publication_id = l.publication_id
    left join ops.my_access as a on true
    where
        a.sees_all is not null
        or current_user = 'yingshang_publish'
        or (select u.rolsuper from pg_roles as u where u.rolname = current_user)
"""


def policy_statements(table: sql.Identifier, rights: MartRights, present: Iterable[str]) -> list[sql.Composed]:
    """The DDL that gives a table its policies; ``present``: names of those that it has."""
    statements = [
        sql.SQL("alter table {} enable row level security, force row level security").format(table),
        *(sql.SQL("drop policy {} on {}").format(sql.Identifier(name), table) for name in present),
    ]
    for name, (command, role, condition) in policies(rights).items():
        statements.append(
            sql.SQL("create policy {} on {} for {} to {} using ({})").format(
                sql.Identifier(name),
                table,
                sql.SQL(command),
                sql.Identifier(role),
                condition,
            )
        )
    return statements


def grant_statements(
    schema: str, mart: str, rights: MartRights, columns: Sequence[str], present: Iterable[str]
) -> list[sql.Composed]:
    """The DDL that gives a relation its grants. ``present``: roles that have any on it now, PUBLIC as an empty name."""
    relation = sql.Identifier(schema, mart)
    every = sql.SQL(", ").join(map(sql.Identifier, columns))
    statements = []
    for role in present:
        who = sql.Identifier(role) if role else sql.SQL("public")
        statements.append(sql.SQL("revoke all on {} from {}").format(relation, who))
        statements.append(sql.SQL("revoke all ({}) on {} from {}").format(every, relation, who))
    for role, names in grants(rights, columns, schema).items():
        what: sql.Composable = sql.SQL("select")
        if names is not None:
            shown = sql.SQL(", ").join(sql.Identifier(name) for name in columns if name in names)
            what = sql.SQL("select ({})").format(shown)
        statements.append(sql.SQL("grant {} on {} to {}").format(what, relation, sql.Identifier(role)))
    return statements
