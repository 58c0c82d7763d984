"""Builds of past nights: what was published then, in a schema of its own, whatever has been corrected since.

A past build has the seqs and the night of the publication: it sees the batches and the words on provisions that the
publication saw, and nothing later. It is never attached to ``serve``, and takes no part in the publisher's states.
"""

import datetime as dt
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString, Protocol

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from yingshang.errors import BuildError, PublicationPostponed, UsageError
from yingshang.publish import ledger
from yingshang.publish.model import BuildOutcome, Plan
from yingshang.warehouse import connect
from yingshang.warehouse.connections import login
from yingshang.warehouse.past import PastNight, past_nights, schema_of

log = logging.getLogger(__name__)

LOCK_SPACE = 4207004
"""First key of the advisory lock of a past night; the second is the night, yyyymmdd."""
APPLICATION = "yingshang as of"
LOCK_SECONDS = 60.0
SHOWN_NIGHTS = 10


class PastBuilder(Protocol):
    """Builds the marts in a schema that is no slot. The production one is dbt."""

    def plan_past(self, schema: str) -> Plan:
        """Look at the code, touch nothing."""
        ...

    def run_past(self, schema: str) -> BuildOutcome:
        """Build. The row of ``ops.build`` is committed before."""
        ...

    def forget(self, schema: str) -> None:
        """Remove what the builder keeps of the schema."""
        ...


@dataclass(frozen=True)
class PastReport:
    """What a build of a past night did.

    Attributes:
        published_at: when the publication that it repeats was made.
        warning: the code has changed since then, so figures may differ for that reason.
    """

    build_id: int
    night: dt.date
    schema: str
    publication_id: int
    published_at: dt.datetime
    to_seq: int
    code_version: str
    marts: tuple[str, ...]
    warning: str | None
    seconds: float


@dataclass(frozen=True)
class _Published:
    """The publication of a night, with the bounds of its build."""

    publication_id: int
    published_at: dt.datetime
    build_id: int
    to_seq: int
    to_outcome: int
    code_version: str | None


def build_as_of(night: dt.date, run_id: str | None, *, builder: PastBuilder | None = None) -> PastReport:
    """Build the marts of a published night as they were then; an earlier build of it is dropped first.

    Of several publications of the night the last one counts. Nothing is refused for its age: raw and ledger are kept
    whole, there is no retention yet.

    Raises:
        UsageError: the night was never published.
        PublicationPostponed: the same night is being built right now.
        BuildError: dbt failed. The schema stays, to be looked at.
    """
    start = time.monotonic()
    builder = builder or _dbt_builder()
    schema = schema_of(night)
    with _entered(night) as conn:
        published = _published(conn, night)
        plan = builder.plan_past(schema)
        _make_schema(conn, schema)
        build_id = _start(conn, schema, night, published, run_id, plan.code_version)
        log.info("build %d: %s, events up to %d, night %s", build_id, schema, published.to_seq, night)
        try:
            outcome = builder.run_past(schema)
        except BaseException as error:
            ledger.close_build(conn, build_id, run_id, night, BuildOutcome(error=f"{type(error).__name__}: {error}"))
            raise
        ledger.close_build(conn, build_id, run_id, night, outcome)
        if outcome.error:
            raise BuildError(f"build {build_id} of night {night} in {schema} failed: {outcome.error}")
        _let_owner_read(schema)
    return PastReport(
        build_id, night, schema, published.publication_id, published.published_at, published.to_seq,
        plan.code_version, plan.marts, _changed(published, plan), round(time.monotonic() - start, 3),
    )  # fmt: skip


def drop_as_of(night: dt.date, *, builder: PastBuilder | None = None) -> None:
    """Remove the schema of a past night and what dbt keeps of it.

    Raises:
        UsageError: there is none.
        PublicationPostponed: it is being built right now.
    """
    schema = schema_of(night)
    with _entered(night) as conn:
        if not any(one.schema_name == schema for one in past_nights(conn)):
            raise UsageError(f"there is no {schema}: `yingshang build --as-of list` names those that are there")
        conn.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(schema)))
    (builder or _dbt_builder()).forget(schema)


def list_as_of() -> list[PastNight]:
    """The schemas of past nights that are there."""
    with connect("owner", autocommit=True, application_name=APPLICATION) as conn:
        return past_nights(conn)


@contextmanager
def _entered(night: dt.date) -> Iterator[psycopg.Connection[Any]]:
    """A session of the owner that alone works on this night. The publisher's lock is another one."""
    with connect("owner", autocommit=True, application_name=APPLICATION, lock_timeout=LOCK_SECONDS) as conn:
        key = int(f"{night:%Y%m%d}")
        row = conn.execute("select pg_try_advisory_lock(%s, %s)", (LOCK_SPACE, key)).fetchone()
        if row is None or not row[0]:
            raise PublicationPostponed(f"night {night} is being built in {schema_of(night)} right now: wait for it")
        yield conn


def _published(conn: psycopg.Connection[Any], night: dt.date) -> _Published:
    with conn.cursor(row_factory=class_row(_Published)) as cursor:
        found = cursor.execute(_PUBLISHED, (night,)).fetchone()
    if found is None:
        rows = conn.execute("select distinct night from ops.publication order by night desc").fetchall()
        nights = ", ".join(str(one) for (one,) in rows[:SHOWN_NIGHTS]) + (" ..." if len(rows) > SHOWN_NIGHTS else "")
        raise UsageError(f"night {night} was never published; published were {nights or 'none'}")
    return found


def _make_schema(conn: psycopg.Connection[Any], schema: str) -> None:
    name, transform = sql.Identifier(schema), sql.Identifier(login("transform"))
    with conn.transaction():
        conn.execute(sql.SQL("drop schema if exists {} cascade").format(name))
        conn.execute(sql.SQL("create schema {}").format(name))
        conn.execute(sql.SQL("grant usage, create on schema {} to {}").format(name, transform))


def _start(
    conn: psycopg.Connection[Any], schema: str, night: dt.date, published: _Published, run_id: str | None, code: str
) -> int:
    with conn.transaction():
        conn.execute(
            "update ops.build set finished_at = clock_timestamp(), outcome = 'failed', error = 'interrupted'"
            " where schema_name = %s and finished_at is null",
            (schema,),
        )
        row = conn.execute(
            "insert into ops.build (schema_name, kind, from_seq, to_seq, to_outcome, night, run_id, code_version)"
            " values (%s, 'as_of', 0, %s, %s, %s, %s, %s) returning build_id",
            (schema, published.to_seq, published.to_outcome, night, run_id, code),
        ).fetchone()
    assert row is not None  # noqa: S101 - insert ... returning
    return int(row[0])


def _let_owner_read(schema: str) -> None:
    with connect("transform", application_name=APPLICATION) as conn:
        conn.execute(
            sql.SQL("grant select on all tables in schema {} to {}").format(
                sql.Identifier(schema), sql.Identifier(login("owner"))
            )
        )


def _changed(published: _Published, plan: Plan) -> str | None:
    if plan.code_version == published.code_version:
        return None
    before = published.code_version or "unknown code"
    return (
        f"the code has changed since: build {published.build_id} was made by {before}, this one by"
        f" {plan.code_version}. Where figures differ from what was published, that is why"
    )


def _dbt_builder() -> PastBuilder:
    from yingshang.publish.dbt_runner import DbtBuilder

    return DbtBuilder()


_PUBLISHED: LiteralString = """
    select p.publication_id, p.published_at, p.build_id, p.to_seq, b.to_outcome, b.code_version
    from ops.publication as p
    inner join ops.build as b on b.build_id = p.build_id
    where p.night = %s
    order by p.publication_id desc
    limit 1
"""
