"""What a night brought, in one record: for the log, the DAG's notifier and the demo's table."""

import datetime as dt
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, LiteralString

import psycopg

from yingshang.publish import ledger, serving
from yingshang.publish.model import Publication
from yingshang.warehouse import connect

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Announcement:
    """What readers see after a run.

    Attributes:
        is_new: this run has published; otherwise the publication is an earlier one.
        rows: mart -> rows that readers see.
        checks: checks of the run and of its build by ``stage``: [passed, all]. A gate that ran again counts once.
        warnings: messages of failed checks that only warn.
    """

    run_id: str
    is_new: bool
    publication_id: int | None
    build_id: int | None
    night: dt.date | None
    published_at: dt.datetime | None
    missing_nodes: Mapping[str, list[str]] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    checks: Mapping[str, list[int]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.publication_id is None:
            return "nothing has been published yet"
        missing = sum(map(len, self.missing_nodes.values()))
        passed, all_checks = (sum(one) for one in zip(*self.checks.values(), strict=True)) if self.checks else (0, 0)
        return (
            f"night {self.night} {'published' if self.is_new else 'stays published'} at {self.published_at:%F %T %Z}"
            f" (publication {self.publication_id}, build {self.build_id}): {sum(self.rows.values())} rows in"
            f" {len(self.rows)} marts, {passed} of {all_checks} checks passed, {missing} missing nodes"
        )


def announce(run_id: str) -> Announcement:
    """Sum up what is published and what the run's checks said; written to the log as one line."""
    with connect("publish", autocommit=True) as conn:
        done = ledger.publication_of(conn)
        said = _announcement(conn, run_id, done)
    log.info("%s", said)
    return said


def _announcement(conn: psycopg.Connection[Any], run_id: str, done: Publication | None) -> Announcement:
    if done is None:
        return Announcement(run_id, False, None, None, None, None)
    published_by = conn.execute(
        "select run_id from ops.publication where publication_id = %s", (done.publication_id,)
    ).fetchone()
    asked = {"run": run_id, "build": done.build_id}
    checks = conn.execute(_CHECKS, asked).fetchall()
    warnings = conn.execute(_WARNINGS, asked).fetchall()
    return Announcement(
        run_id=run_id,
        is_new=bool(published_by and published_by[0] == run_id),
        publication_id=done.publication_id,
        build_id=done.build_id,
        night=done.night,
        published_at=done.published_at,
        missing_nodes=done.missing_nodes,
        rows=serving.row_counts(conn, str(done.slot)),
        checks={stage: [passed, every] for stage, passed, every in checks},
        warnings=tuple(one[0] for one in warnings),
    )


NEWEST_RESULTS: LiteralString = """
    select distinct on (stage, suite, expectation, batch_id) *
    from ops.check_result
    where run_id = %(run)s or build_id = %(build)s
    order by stage, suite, expectation, batch_id, result_id desc
"""
"""The last word of each check (on each batch that it refused) of a run and of a build: a gate may run several times."""

_CHECKS: LiteralString = (
    "with results as ("  # noqa: S608 - our own text
    + NEWEST_RESULTS
    + """)
select stage, count(*) filter (where holds), count(*)
from (
    select stage, bool_and(is_success) as holds from results group by stage, severity, suite, expectation
) as checks
group by stage
order by stage
"""
)

_WARNINGS: LiteralString = (
    "with results as ("
    + NEWEST_RESULTS
    + """)
select coalesce(message, suite || ': ' || expectation)
from results where not is_success and severity = 'warn' order by result_id
"""
)
