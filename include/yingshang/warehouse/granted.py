"""What PostgreSQL has of policies, grants and views of the served marts, beside what follows from their own words.

The same comparison tells the publisher what to mend, and the gate what stops a publication.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import sql

from yingshang.warehouse.access import READERS
from yingshang.warehouse.connections import login
from yingshang.warehouse.rights import (
    PUBLICATION,
    PUBLICATION_QUERY,
    Conn,
    MartRights,
    grant_statements,
    grants,
    policy_statements,
    view_query,
)

SELECT = "r"
"""How PostgreSQL writes the right to read in a list of grants."""


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


# What mends it --------------------------------------------------------------------------------------------------------


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
