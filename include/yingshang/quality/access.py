"""The probe of the publish gate: what every role would see of a build, before anybody sees it.

In one transaction that is rolled back, the build is made the live one; then the publisher's login becomes each role of
the access registry in turn and counts, through the very views, grants and policies that the role will read through. The
same rows are counted in the slot itself, past all policies, and shared out to roles by the registry's own hierarchy.
What PostgreSQL's catalogue says of owners, policies and grants is compared with what follows from the marts' own words.
"""

import datetime as dt
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from psycopg import sql

from yingshang.contracts.access import SENSITIVITIES, AccessRegistry, load_access
from yingshang.errors import UsageError
from yingshang.quality.access_counts import Tried, owner_counts, role_counts, try_roles
from yingshang.warehouse import PgConnection, ledger, session
from yingshang.warehouse.access import GROUPS, Sight, reader_settings, sights, wanted_sights
from yingshang.warehouse.granted import differences
from yingshang.warehouse.ledger import CheckResult
from yingshang.warehouse.logins import MARK
from yingshang.warehouse.rights import saved_rights

STATEMENT_SECONDS = 600.0
SUITE = "access"
SUMMARY = "every role sees what the owner counts for it, and nothing else"
NAMED = 12
KEPT = 200


@dataclass(frozen=True)
class ProbeReport:
    """What the probe says of a build.

    Attributes:
        roles, marts: how many there are; every role is tried on every mart.
        agreeing: pairs of role and mart in which the role sees exactly what the owner counts for it.
        seen_rows, hidden_rows: rows that roles see, and rows of others that are there and that they do not see.
        problems: messages; with any, the build must not be published.
    """

    build_id: int
    roles: int
    marts: int
    agreeing: int
    seen_rows: int
    hidden_rows: int
    problems: tuple[str, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        if self.problems:
            more = f" (and {len(self.problems) - 3} more)" if len(self.problems) > 3 else ""
            return f"who may see what is wrong: {'; '.join(self.problems[:3])}{more}"
        return (
            f"probe: {self.roles} roles × {self.marts} marts, {self.agreeing} of {self.roles * self.marts} as the owner"
            f" counts; {self.seen_rows:,} rows seen, {self.hidden_rows:,} of others there and not seen"
        )


def probe(build_id: int) -> ProbeReport:
    """Try every role of the access registry on every mart of a build whose slot is attached.

    Results go to ``ops.check_result`` (stage publish): a row for each problem, and one for the whole. The caller
    publishes nothing when :attr:`ProbeReport.passed` is false.

    Raises:
        UsageError: there is no such build, or it was not built in a slot.
        RegistryError: the access registry is not valid.
    """
    started, registry = time.monotonic(), load_access()
    with session("publish", statement_timeout=STATEMENT_SECONDS, application_name="yingshang probe") as conn:
        build = conn.execute(
            "select run_id, night from ops.build where build_id = %s and slot is not null", (build_id,)
        ).fetchone()
        if build is None:
            raise UsageError(f"there is no build {build_id} in a slot: `yingshang status` names those that are")
        run_id, night = build
        rights, roles, problems = saved_rights(conn), len(sights(conn)), catalogue_problems(conn, registry)
        tried = Tried()
        if not problems:  # what the catalogue knows to be wrong need not be counted
            tried = try_roles(conn, build_id, rights, registry)
        problems.extend(tried.problems)
        report = ProbeReport(
            build_id, roles, len(rights), tried.agreeing, tried.seen, tried.hidden, tuple(problems),
            round(time.monotonic() - started, 3),
        )  # fmt: skip
        ledger.insert_check_results(conn, list(_results(report, run_id, night)))
    return report


def probe_line() -> str:
    """What the last probe said, in one line; for a person."""
    with session("publish") as conn:
        row = conn.execute(
            "select is_success, observed, message from ops.check_result where stage = 'publish' and suite = %s"
            " and expectation = %s order by result_id desc limit 1",
            (SUITE, SUMMARY),
        ).fetchone()
    if row is None:
        return "probe: no build has been probed yet"
    is_success, observed, message = row
    if not is_success:
        return f"probe: {message}"
    pairs = observed["roles"] * observed["marts"]
    return (
        f"probe: {observed['roles']} roles × {observed['marts']} marts, {observed['agreeing']} of {pairs} as the owner"
        f" counts; {observed['hidden_rows']:,} rows of others are there and are not seen"
    )


@dataclass(frozen=True)
class MartSight:
    """What a role sees of a mart: ``rows`` of ``all_rows``; not columns above its ceiling, nor figures when small."""

    mart: str
    sensitivity: str
    is_granted: bool
    rows: int
    all_rows: int
    hidden_columns: tuple[str, ...]
    small_figures: tuple[str, ...]


@dataclass(frozen=True)
class RoleSight:
    """What a role sees of all marts, and who answers for it."""

    role: str
    login: str
    division_code: str
    division_name: str
    sensitivity: str
    approver: str
    review_date: dt.date
    expires_on: dt.date
    purpose: str
    marts: tuple[MartSight, ...]


def who_sees_what() -> list[RoleSight]:
    """What every role sees of what is published now, counted as that role; by role.

    Raises:
        UsageError: nothing is published.
    """
    registry = load_access()
    with session("publish", statement_timeout=STATEMENT_SECONDS, application_name="yingshang access") as conn:
        rights = saved_rights(conn)
        live = conn.execute("select slot from ops.live").fetchone()
        if live is None:
            raise UsageError("nothing is published yet: nobody sees anything. `yingshang night` publishes a night")
        totals = {
            mart: sum(one[0] for one in owner_counts(conn, live[0], mart, own).values()) for mart, own in rights.items()
        }
        found = []
        for one in sights(conn):
            ceiling = SENSITIVITIES.index(one.sensitivity)
            readable = [mart for mart, own in rights.items() if SENSITIVITIES.index(own.sensitivity) <= ceiling]
            with conn.transaction(force_rollback=True):
                conn.execute(sql.SQL("set local role {}").format(sql.Identifier(one.login)))
                counted = role_counts(conn, one, readable, rights)
            if isinstance(counted, str):
                raise UsageError(f"role {one.role}: {counted}: run `yingshang access apply`")
            marts = tuple(
                MartSight(
                    mart, own.sensitivity, mart in readable,
                    sum(counts[0] for counts in counted.get(mart, {}).values()), totals[mart],
                    tuple(name for name, level in own.columns.items() if SENSITIVITIES.index(level) > ceiling),
                    () if one.sees_all and one.sensitivity != "public" else tuple(own.small_figures),
                )
                for mart, own in sorted(rights.items())
            )  # fmt: skip
            node = registry.nodes.get(one.division_code)
            found.append(
                RoleSight(
                    one.role, one.login, one.division_code, node.name if node else "?", one.sensitivity, one.approver,
                    one.review_date, one.expires_on, one.purpose, marts,
                )
            )  # fmt: skip
    return found


def catalogue_problems(conn: PgConnection, registry: AccessRegistry) -> list[str]:
    """What PostgreSQL's catalogue and ``ops.access`` have otherwise than the marts and the registry say."""
    found = differences(conn, saved_rights(conn))
    return [
        *(f"{name}: {text}" for name, texts in found.items() for text in texts),
        *_of_registry(conn, registry),
        *_of_logins(conn, sights(conn)),
    ]


# The registry and the logins ------------------------------------------------------------------------------------------


def _of_registry(conn: PgConnection, registry: AccessRegistry) -> list[str]:
    """``ops.access`` has the rows of the registry, no others."""
    wanted = wanted_sights(conn, registry)
    present = {one.role: one for one in sights(conn)}
    again = "run `yingshang access apply`"
    return [
        *(f"role {role} is in the registry and has no row in ops.access: {again}" for role in wanted.keys() - present),
        *(f"role {role} sees something and is not in the registry" for role in sorted(present.keys() - wanted.keys())),
        *(
            f"role {role} has another row in ops.access than in the registry: {again}"
            for role in sorted(wanted.keys() & present.keys())
            if wanted[role] != present[role]
        ),
    ]


def _of_logins(conn: PgConnection, all_sights: Iterable[Sight]) -> list[str]:
    """Every reader's login has its limits, its groups, and no way to anything but the schema marts."""
    wanted = {one.login: one for one in all_sights}
    problems = []
    for name, mark, is_strong, limit, options, groups, others, schemas in conn.execute(_LOGINS, (list(GROUPS),)):
        one = wanted.get(name)
        if one is None and mark != f"{MARK}{conn.info.dbname}":
            continue  # of another warehouse of this server: it has no row here, and no policy shows it any
        if is_strong:
            problems.append(f"login {name} has rights over the server (superuser, bypassrls, createrole or the like)")
        if others:
            problems.append(f"login {name} is a member of {', '.join(others)} as well")
        if one is None:
            if groups:
                problems.append(f"login {name} is no role of the registry, and is a member of {', '.join(groups)}")
            continue
        if set(groups) != set(one.groups):
            problems.append(f"login {name} is a member of {', '.join(groups) or 'no group'}, not of {one.groups}")
        if set(schemas) != {"marts"}:
            problems.append(f"login {name} may use the schemas {', '.join(schemas) or 'none'}, not marts alone")
        if not limit or limit < 0:
            problems.append(f"login {name} has no connection limit")
        has = {key.lower(): value for key, value in (option.split("=", 1) for option in options or ())}
        lacking = sorted(key for key in reader_settings() if not _is_set(key, has.get(key, "")))
        if lacking:
            problems.append(f"login {name} lacks the settings {', '.join(lacking)}")
    return problems


def _is_set(key: str, value: str) -> bool:
    """Whether a setting of a login limits anything: a timeout of 0 is none."""
    if key.endswith("_timeout"):
        return re.match("0*[1-9]", value) is not None
    return value == "on" if key == "default_transaction_read_only" else bool(value)


def _results(report: ProbeReport, run_id: str | None, night: object) -> Iterator[CheckResult]:
    def result(expectation: str, message: str | None, observed: dict[str, object]) -> CheckResult:
        return CheckResult(
            stage="publish", suite=SUITE, expectation=expectation, severity="stop", is_success=message is None,
            run_id=run_id, night=night, build_id=report.build_id, observed=observed, message=message,  # type: ignore[arg-type]
        )  # fmt: skip

    for problem in report.problems[:KEPT]:
        yield result("owners, policies, grants and roles are as the registry and the marts say", problem, {})
    numbers: dict[str, object] = {
        "roles": report.roles, "marts": report.marts, "agreeing": report.agreeing, "seen_rows": report.seen_rows,
        "hidden_rows": report.hidden_rows, "seconds": report.seconds,
    }  # fmt: skip
    yield result(SUMMARY, None if report.passed else str(report), numbers)


# Of all logins that readers have or had: strong rights; connection limit; settings; readers' groups, other groups; and
# the schemas they may use, this program's and others', PostgreSQL's own apart.
_LOGINS = """
    select
        r.rolname::text,
        shobj_description(r.oid, 'pg_authid'),
        r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolcreatedb or r.rolreplication,
        r.rolconnlimit,
        (select s.setconfig from pg_db_role_setting as s where s.setrole = r.oid and s.setdatabase = 0),
        coalesce((
            select array_agg(g.rolname::text order by g.rolname)
            from pg_auth_members as m inner join pg_roles as g on g.oid = m.roleid
            where m.member = r.oid and g.rolname = any (%s)
        ), '{}'),
        (
            select array_agg(g.rolname::text order by g.rolname)
            from pg_roles as g
            where
                g.oid <> r.oid and not r.rolsuper and pg_has_role(r.oid, g.oid, 'member')
                and g.rolname !~ '^yingshang_(bi|sees_[a-z]+)$'
        ),
        array(
            select n.nspname::text
            from pg_namespace as n
            where
                has_schema_privilege(r.oid, n.oid, 'usage') and n.nspname not in ('pg_catalog', 'information_schema')
                and n.nspname !~ '^pg_(toast|temp)' and n.nspname <> 'public'
            order by 1
        )
    from pg_roles as r
    where r.rolname ~ '^yingshang_bi_[a-z0-9_]+$'
    order by 1
"""
