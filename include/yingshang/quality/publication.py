"""The publish gate: the finished marts of the idle slot, read as readers will read them, before they are published."""

import datetime as dt
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from yingshang.contracts import load_contracts
from yingshang.contracts.registry import load_registry
from yingshang.errors import UsageError
from yingshang.quality.checks import Checks, Outcome
from yingshang.quality.docs import new_site, publish_site
from yingshang.quality.results import UNMEASURED, explain, observed
from yingshang.quality.sources import make_source_tables
from yingshang.quality.suites import Measure, marked_expectations, publish_measures
from yingshang.warehouse import PgConnection, ledger, session
from yingshang.warehouse.ledger import CheckResult

if TYPE_CHECKING:
    from rich.text import Text

HELD_ABOVE_YUAN = 3_000_000_000
"""Amounts above this await confirmation: they are kept, flagged, and left out of sums (docs: domain, trading)."""

STATEMENT_SECONDS = 600.0
WORK_MEM = "64MB"
NAMED_ROWS = 12
"""How many failing rows (nodes) a message names; ops.check_result has more of them."""
KEPT_ROWS = 200


@dataclass(frozen=True)
class AuditReport:
    """What the publish gate says of a build.

    Attributes:
        checks: how many rules were evaluated.
        failures: messages of the rules marked stop that fail: with any, the build must not be published.
        warnings: messages of the rules marked warn that fail, among them the nodes that are missing from the night.
        docs: first page of the Data Docs, None when they could not be written.
    """

    build_id: int
    slot: str
    night: dt.date
    checks: int
    failures: tuple[str, ...]
    warnings: tuple[str, ...]
    docs: str | None
    seconds: float

    @property
    def passed(self) -> bool:
        return not self.failures

    def __str__(self) -> str:
        if self.failures:
            more = f" (and {len(self.failures) - 3} more)" if len(self.failures) > 3 else ""
            return f"{len(self.failures)} of {self.checks} checks stop it: {'; '.join(self.failures[:3])}{more}"
        return f"{self.checks} checks, {len(self.warnings)} warnings"

    def __rich__(self) -> "Text":
        from rich.text import Text

        lines = [
            f"publish gate, build {self.build_id} in {self.slot}, night {self.night} ({self.seconds:.1f} s): {self}"
        ]
        lines.extend(f"  stop: {message}" for message in self.failures)
        lines.extend(f"  warning: {message}" for message in self.warnings)
        if self.docs:
            lines.append(f"  Data Docs: {self.docs}")
        return Text("\n".join(lines))


@dataclass(frozen=True)
class _Build:
    build_id: int
    slot: str
    to_seq: int
    night: dt.date
    run_id: str | None


@dataclass(frozen=True)
class _Figures:
    """The table of a measure, or why it could not be made."""

    columns: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]
    error: str | None = None


def audit(build_id: int) -> AuditReport:
    """Audit the finished marts of a build whose slot is attached to ``serve``.

    All figures are of one snapshot. Results go to ``ops.check_result`` and to Data Docs. The caller, the publisher,
    publishes nothing when :attr:`AuditReport.passed` is false.

    Raises:
        UsageError: there is no such build, or it was not built in a slot.
    """
    started = time.monotonic()
    measures = publish_measures()
    with session("publish", statement_timeout=STATEMENT_SECONDS, application_name="yingshang audit") as connection:
        build = _build(connection, build_id)
        figures = _measure(connection, build, measures)
    checks = Checks(new_site("publish", build.night, f"build {build_id}"))
    results: list[CheckResult] = []
    for measure, table in zip(measures, figures, strict=True):
        if table.error is not None:
            results.append(_unmeasured(build, measure, table.error))
            continue
        outcomes = checks.validate(measure.name, table.rows, table.columns, marked_expectations(measure), measure.index)
        results.extend(_result(build, outcome) for outcome in outcomes)
    with session("publish") as connection:
        ledger.insert_check_results(connection, results)
    failed = [result for result in results if not result.is_success]
    failures = tuple(result.message or "" for result in failed if result.severity == "stop")
    docs = publish_site(
        checks,
        stage="publish",
        night=build.night,
        run_id=build.run_id,
        lines=[f"{result.severity}: {result.message}" for result in failed],
        verdict=f"build {build_id}: {'stopped' if failures else 'passed'}",
    )
    return AuditReport(
        build_id=build_id,
        slot=build.slot,
        night=build.night,
        checks=len(results),
        failures=failures,
        warnings=tuple(result.message or "" for result in failed if result.severity == "warn"),
        docs=docs,
        seconds=time.monotonic() - started,
    )


def _build(connection: PgConnection, build_id: int) -> _Build:
    row = connection.execute(
        "select build_id, slot, to_seq, night, run_id from ops.build where build_id = %s", (build_id,)
    ).fetchone()
    if row is None:
        raise UsageError(f"there is no build {build_id}: `yingshang status` names the builds of the slots")
    if row[1] is None:
        raise UsageError(f"build {build_id} is not in a slot: builds of a past night are never published")
    return _Build(*row)


def _measure(connection: PgConnection, build: _Build, measures: Iterable[Measure]) -> list[_Figures]:
    parameters = {
        "slot": build.slot,
        "build_id": build.build_id,
        "to_seq": build.to_seq,
        "night": build.night,
        "held_above": HELD_ABOVE_YUAN,
        "nodes": len(load_registry().nodes),
    }
    connection.rollback()
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    figures = []
    with connection.transaction():
        connection.execute(f"set local work_mem = '{WORK_MEM}'")
        make_source_tables(connection, load_contracts().values(), build.to_seq)
        for measure in measures:
            try:
                with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
                    cursor.execute(measure.sql.encode(), parameters)  # from a suite file of ours
                    columns = tuple(column.name for column in cursor.description or ())
                    figures.append(_Figures(columns, tuple(cursor.fetchall())))
            except (psycopg.ProgrammingError, psycopg.DataError) as error:
                figures.append(_Figures((), (), " ".join(str(error).split())))
    return figures


def _result(build: _Build, outcome: Outcome) -> CheckResult:
    message = None
    if not outcome.is_success:
        mart = f"{outcome.suite}, night {build.night}"
        named = [str(failure.index) for failure in outcome.failures]
        first = outcome.failures[0] if outcome.failures else None
        subject = f"{mart}, {first.index}" if first else mart
        message = explain(subject, outcome, first)
        if len(named) > 1:
            rest = ", ".join(named[:NAMED_ROWS]) + (" ..." if len(named) > NAMED_ROWS else "")
            message += f" (fails for {len(named)}: {rest})"
    return CheckResult(
        stage="publish",
        suite=outcome.suite,
        expectation=outcome.expectation,
        severity=outcome.severity,
        is_success=outcome.is_success,
        run_id=build.run_id,
        night=build.night,
        build_id=build.build_id,
        observed={
            **observed(outcome.observed),
            **(
                {"failing": {str(one.index): observed(one.observed) for one in outcome.failures[:KEPT_ROWS]}}
                if outcome.failures
                else {}
            ),
        },
        message=message,
    )


def _unmeasured(build: _Build, measure: Measure, error: str) -> CheckResult:
    return CheckResult(
        stage="publish",
        suite=measure.name,
        expectation=UNMEASURED,
        severity="stop",
        is_success=False,
        run_id=build.run_id,
        night=build.night,
        build_id=build.build_id,
        message=f"{measure.name}, night {build.night}: the figures could not be measured: {error}",
    )
