"""What each mart says of itself, and the policies, grants and views that follow from it: one form for all marts.

A mart's model has in its ``config.meta``:

* ``sensitivity``: public, internal or confidential. Readers below it may not read the mart.
* ``division``: the column, or columns, by which its rows belong to a division: ``city_code`` and ``county_code`` hold
  12 digits, any other column a node's 6; ``none``: reference data, whose rows everyone sees who may read the mart.
* ``small_figures`` (optional): column -> SQL condition under which it is nobody's below the province.

and a column may have a ``sensitivity`` above the mart's in its own ``config.meta``.

The functions compare what PostgreSQL has with what follows from this, so that the same words say what to make, what to
mend and what stops a publication.
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
SELECT = "r"


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


# What there is -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Relation:
    name: str
    schema: str
    kind: str
    owner: str
    has_policies: bool
    is_forced: bool
    is_invoker: bool
    acl: list[str]
    column_acl: dict[str, list[str]]
    columns: list[tuple[str, str]]
    policies: dict[str, tuple[str, tuple[str, ...], str]]
    query: str | None


def differences(conn: Conn, rights: Mapping[str, MartRights], *, views: bool = True) -> dict[str, list[str]]:
    """Relation (``serve.fct_bid``) -> what PostgreSQL has otherwise than it follows from the marts' own words.

    Args:
        rights: of all marts that should be served.
        views: look at schema ``marts`` too; a mart that has no view yet is no difference.
    """
    relations = _relations(conn)
    expected = _expected_conditions(conn, rights.values())
    found: dict[str, list[str]] = {}
    for one in relations:
        name = f"{one.schema}.{one.name}"
        if one.schema == "marts" and not views:
            continue
        if one.schema == "marts" and one.name == PUBLICATION:
            problems = _publication(conn, one)
        elif one.name not in rights:
            problems = ["no mart says who may see it (config.meta of its model)"]
        elif one.schema == "serve":
            problems = _served(one, rights[one.name], expected)
        else:
            problems = _view(conn, one, rights[one.name])
        if problems:
            found[name] = problems
    served = {one.name for one in relations if one.schema == "serve"}
    for mart in sorted(set(rights) - served):
        found[f"serve.{mart}"] = ["it is not there"]
    return found


def _served(one: _Relation, rights: MartRights, expected: Mapping[tuple[str, ...], dict[str, Any]]) -> list[str]:
    problems = _owned(one, "p", "a partitioned table")
    if not one.has_policies:
        problems.append("row security is off")
    if not one.is_forced:
        problems.append("row security is not forced on its owner")
    wanted = expected[rights.division]
    for name in sorted(wanted.keys() | one.policies.keys()):
        if name not in one.policies:
            problems.append(f"the policy {name} is missing")
        elif name not in wanted:
            problems.append(f"there is a policy {name} too many, for {', '.join(one.policies[name][1])}")
        elif one.policies[name] != wanted[name]:
            problems.append(f"the policy {name} is another one: {one.policies[name]}")
    return problems + _granted(one, rights)


def _view(conn: Conn, one: _Relation, rights: MartRights) -> list[str]:
    problems = _owned(one, "v", "a view")
    if not one.is_invoker:
        problems.append("it has no security_invoker: it would read with its owner's rights")
    if one.kind == "v":
        kinds = dict(_columns_of(conn, "serve", one.name))
        shown = [(name, kinds[name]) for name, _ in one.columns if name in kinds]
        if one.query != _deparsed(conn, view_query(one.name, rights, shown)):
            problems.append("its query is another one than the publisher's")
    return problems + _granted(one, rights)


def _publication(conn: Conn, one: _Relation) -> list[str]:
    problems = _owned(one, "v", "a view")
    if one.query != _deparsed(conn, sql.SQL(PUBLICATION_QUERY)):
        problems.append("its query is another one than the publisher's")
    return problems + _acl_problems(one, {READERS: None})


def _owned(one: _Relation, kind: str, what: str) -> list[str]:
    problems = [] if one.kind == kind else [f"it is not {what}"]
    if one.owner != login("publish"):
        problems.append(f"it belongs to {one.owner}, not to {login('publish')}")
    return problems


def _granted(one: _Relation, rights: MartRights) -> list[str]:
    return _acl_problems(one, grants(rights, [name for name, _ in one.columns], one.schema))


def _acl_problems(one: _Relation, wanted: Mapping[str, frozenset[str] | None]) -> list[str]:
    """Grants as ``role=rights/grantor`` without the grantor, beside those of the owner."""
    tables = {f"{role}={SELECT}" for role, columns in wanted.items() if columns is None}
    problems = _too_many_or_few(set(one.acl), tables, "")
    per_column = {
        name: {f"{role}={SELECT}" for role, columns in wanted.items() if columns and name in columns}
        for name, _ in one.columns
    }
    for name, entries in per_column.items():
        problems += _too_many_or_few(set(one.column_acl.get(name, ())), entries, f" on {name}")
    return problems


def _too_many_or_few(present: set[str], wanted: set[str], on: str) -> list[str]:
    return [
        *(f"a grant too many{on}: {'PUBLIC' if one[0] == '=' else ''}{one}" for one in sorted(present - wanted)),
        *(f"a grant is missing{on}: {one}" for one in sorted(wanted - present)),
    ]


def _relations(conn: Conn) -> list[_Relation]:
    found = []
    for row in conn.execute(_RELATIONS).fetchall():
        name, schema, kind, owner, is_on, is_forced, is_invoker, acl, column_acl, columns, policies_found, query = row
        found.append(
            _Relation(
                name, schema, kind, owner, is_on, is_forced, is_invoker, acl, column_acl or {},
                [(column, of_type) for column, of_type in columns or ()],
                {
                    one["name"]: (one["command"], tuple(one["roles"]), f"{one['using']} / {one['check']}")
                    for one in policies_found or ()
                },
                query,
            )
        )  # fmt: skip
    return found


def _expected_conditions(
    conn: Conn, rights: Iterable[MartRights]
) -> dict[tuple[str, ...], dict[str, tuple[str, tuple[str, ...], str]]]:
    """The policies of each set of division columns, in the very words in which PostgreSQL shows them."""
    found = {}
    with conn.transaction(force_rollback=True):
        for number, division in enumerate(sorted({one.division for one in rights})):
            name = f"policy_form_{number}"
            columns = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(one)) for one in division)
            conn.execute(sql.SQL("create temp table {} ({})").format(sql.Identifier(name), columns))
            for statement in policy_statements(sql.Identifier("pg_temp", name), MartRights("public", division), ()):
                conn.execute(statement)
            rows = conn.execute(_POLICIES_OF, (name,)).fetchall()
            found[division] = {
                one: (command, tuple(roles), f"{using} / {check}") for one, command, roles, using, check in rows
            }
    return found


def _deparsed(conn: Conn, query: sql.Composable) -> str:
    with conn.transaction(force_rollback=True):
        conn.execute(sql.SQL("create temp view query_form as {}").format(query))
        row = conn.execute("select pg_get_viewdef('pg_temp.query_form'::regclass)").fetchone()
    return str(row[0]) if row else ""


def _columns_of(conn: Conn, schema: str, table: str) -> list[tuple[str, str]]:
    return conn.execute(_COLUMNS_OF, (schema, table)).fetchall()


# What makes one of the other -----------------------------------------------------------------------------------------


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


def view_statements(
    conn: Conn, rights: Mapping[str, MartRights], *, grow: bool = True
) -> dict[str, list[sql.Composed]]:
    """The DDL that brings views up to their served tables and to what the marts say of themselves, by mart.

    Args:
        grow: make missing views and give them new columns, as the flip does. Else views that are there keep their
            columns, and are mended.
    """
    relations = {(one.schema, one.name): one for one in _relations(conn)}
    found: dict[str, list[sql.Composed]] = {}
    for mart, own in rights.items():
        served, present = relations.get(("serve", mart)), relations.get(("marts", mart))
        if served is None or (present is None and not grow):
            continue
        columns, view = served.columns, sql.Identifier("marts", mart)
        if present is not None and not grow:
            columns = [(name, kind) for name, kind in served.columns if name in dict(present.columns)]
        query, names = view_query(mart, own, columns), [name for name, _ in columns]
        statements: list[sql.Composed] = []
        # A view can only grow at its end; serve grows at its end as well.
        if present is None or not present.is_invoker or present.query != _deparsed(conn, query):
            create = sql.SQL("create or replace view {} with (security_invoker = true) as {}")
            statements.append(create.format(view, query))
        if present is None or len(present.columns) != len(names) or _granted(present, own):
            statements += grant_statements("marts", mart, own, names, grantees(conn, "marts", mart))
        if statements:
            found[mart] = statements
    return found


def publication_statements(conn: Conn) -> list[sql.Composed]:
    """The DDL that makes or mends ``marts.publication``."""
    view = sql.Identifier("marts", PUBLICATION)
    present = next((one for one in _relations(conn) if (one.schema, one.name) == ("marts", PUBLICATION)), None)
    if present is not None and not _publication(conn, present):
        return []
    return [
        sql.SQL("create or replace view {} as {}").format(view, sql.SQL(PUBLICATION_QUERY)),
        *(
            sql.SQL("revoke all on {} from {}").format(view, sql.Identifier(role) if role else sql.SQL("public"))
            for role in grantees(conn, "marts", PUBLICATION)
        ),
        sql.SQL("grant select on {} to {}").format(view, sql.Identifier(READERS)),
    ]


def grantees(conn: Conn, schema: str, name: str) -> list[str]:
    """Roles beside the owner that have any right on a relation or a column of it; PUBLIC is an empty name."""
    return [row[0] for row in conn.execute(_GRANTEES, {"schema": schema, "name": name})]


def policy_names(conn: Conn, name: str) -> list[str]:
    """The policies that a served table has."""
    rows = conn.execute(
        "select polname::text from pg_policy where polrelid = to_regclass(format('serve.%%I', %s::text)) order by 1",
        (name,),
    )
    return [row[0] for row in rows]


_ROLES_OF_POLICY: LiteralString = """
    (
        select array_agg(coalesce(r.rolname::text, 'public') order by r.rolname)
        from unnest(p.polroles) as member (role)
        left join pg_roles as r on r.oid = member.role
    )
"""
_POLICY: LiteralString = (
    "p.polname::text as name, p.polcmd::text || case when p.polpermissive then '' else ' restrictive' end as command, "
    + _ROLES_OF_POLICY
    + ' as roles, pg_get_expr(p.polqual, p.polrelid) as "using", pg_get_expr(p.polwithcheck, p.polrelid) as "check"'
)
_POLICIES_OF: LiteralString = (
    "select " + _POLICY + " from pg_policy as p where p.polrelid = to_regclass(format('pg_temp.%%I', %s::text))"  # noqa: S608 - of constants
)
_ACL: LiteralString = """
    coalesce((
        select array_agg(who.name || '=' || who.rights order by who.name)
        from (
            select
                coalesce(r.rolname::text, '') as name,
                string_agg(
                    case x.privilege_type when 'SELECT' then 'r' else '+' || x.privilege_type end
                    || case when x.is_grantable then '*' else '' end,
                    '' order by x.privilege_type
                ) as rights
            from aclexplode({acl}) as x
            left join pg_roles as r on r.oid = x.grantee
            where x.grantee <> c.relowner
            group by r.rolname
        ) as who
    ), '{}')
"""
_RELATIONS: LiteralString = (
    """
    select
        c.relname::text, c.relnamespace::regnamespace::text, c.relkind::text, c.relowner::regrole::text,
        c.relrowsecurity, c.relforcerowsecurity,
        coalesce('security_invoker=true' = any (c.reloptions), false),
        {acl of the relation},
        (
            select jsonb_object_agg(a.attname, {acl of the column})
            from pg_attribute as a
            where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attacl is not null
        ),
        (
            select jsonb_agg(jsonb_build_array(a.attname, format_type(a.atttypid, a.atttypmod)) order by a.attnum)
            from pg_attribute as a
            where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        ),
        (select jsonb_agg(to_jsonb(own)) from (select {policy} from pg_policy as p where p.polrelid = c.oid) as own),
        case when c.relkind = 'v' then pg_get_viewdef(c.oid) end
    from pg_class as c
    where c.relnamespace in ('serve'::regnamespace, 'marts'::regnamespace) and c.relkind in ('r', 'p', 'v', 'm', 'f')
    order by 2 desc, 1
""".replace("{acl of the relation}", _ACL.replace("{acl}", "c.relacl"))
    .replace("{acl of the column}", _ACL.replace("{acl}", "a.attacl"))
    .replace("{policy}", _POLICY)
)
_GRANTEES: LiteralString = """
    select distinct coalesce(r.rolname::text, '')
    from pg_class as c
    cross join lateral (
        select x.grantee from aclexplode(c.relacl) as x
        union
        select x.grantee
        from pg_attribute as a
        cross join lateral aclexplode(a.attacl) as x
        where a.attrelid = c.oid and not a.attisdropped
    ) as who
    left join pg_roles as r on r.oid = who.grantee
    where c.relnamespace = %(schema)s::regnamespace and c.relname = %(name)s and who.grantee <> c.relowner
"""
_COLUMNS_OF: LiteralString = """
    select a.attname::text, format_type(a.atttypid, a.atttypmod)
    from pg_attribute as a
    inner join pg_class as c on c.oid = a.attrelid
    where c.relnamespace = %s::regnamespace and c.relname = %s and a.attnum > 0 and not a.attisdropped
    order by a.attnum
"""
