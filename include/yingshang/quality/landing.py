"""The landing gate: what a night's arrivals look like decides which batches are admitted."""

import datetime as dt
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from yingshang.contracts import load_contracts
from yingshang.errors import UsageError
from yingshang.quality.checks import Checks, Outcome
from yingshang.quality.docs import new_site, publish_site
from yingshang.quality.override import lock_gate
from yingshang.quality.profiles import Profiles, profile
from yingshang.quality.results import explain, observed
from yingshang.quality.suites import landing_suites, shared_expectations
from yingshang.warehouse import PgConnection, ledger, session
from yingshang.warehouse.ledger import CheckResult

if TYPE_CHECKING:
    from rich.text import Text

ACTOR = "landing gate"
EVERY_DATASET = "every dataset"
SHOWN_WARNINGS = 20


@dataclass(frozen=True)
class Refusal:
    """A batch that is not admitted, with every rule that it breaks."""

    batch_id: int
    dataset: str
    node_code: str
    messages: tuple[str, ...]


@dataclass(frozen=True)
class GateReport:
    """What the landing gate did.

    Attributes:
        batches: how many batches of the run had no event yet.
        checks: how many rules were evaluated; ``failed_checks`` of them found something.
        warnings: messages of the rules marked warn.
        docs: first page of the Data Docs, None when there was nothing to check or they could not be written.
    """

    run_id: str
    night: dt.date
    batches: int
    admitted: tuple[int, ...]
    superseded: tuple[int, ...]
    refused: tuple[Refusal, ...]
    warnings: tuple[str, ...]
    checks: int
    failed_checks: int
    docs: str | None
    seconds: float

    def __str__(self) -> str:
        lines = [
            f"landing gate, night {self.night}: {len(self.admitted)} of {self.batches} batches admitted,"
            f" {len(self.superseded)} superseded, {len(self.refused)} refused;"
            f" {self.checks - self.failed_checks} of {self.checks} checks hold, {len(self.warnings)} warnings"
            f" ({self.seconds:.1f} s)"
        ]
        for refusal in self.refused:
            lines.append(f"  refused: batch {refusal.batch_id}, {refusal.dataset} of {refusal.node_code}")
            lines.extend(f"    {message}" for message in refusal.messages)
        lines.extend(f"  warning: {message}" for message in self.warnings[:SHOWN_WARNINGS])
        if len(self.warnings) > SHOWN_WARNINGS:
            lines.append(f"  and {len(self.warnings) - SHOWN_WARNINGS} more warnings: see the Data Docs")
        if self.docs:
            lines.append(f"  Data Docs: {self.docs}")
        return "\n".join(lines)

    def __rich__(self) -> "Text":
        from rich.text import Text

        return Text(str(self))


def run_landing_gate(run_id: str) -> GateReport:
    """Check all batches of a run that have no event yet; admit the good ones, refuse the others.

    Results, supersessions and admissions are written in one transaction, so a kill leaves nothing half done, and
    another call takes up only what has no event. A refused batch gets no event: `yingshang gate accept|reject` decides.

    Raises:
        UsageError: there is no such run, or a suite is not usable.
    """
    started = time.monotonic()
    contracts = load_contracts()
    with session("ingest") as connection:
        run = ledger.night_run(connection, run_id)
        if run is None:
            raise UsageError(f"there is no run {run_id!r}: `yingshang status` lists the runs")
        night = run.night
        waiting = _without_event(connection, run_id)
        unknown = sorted(waiting.keys() - contracts.keys())
        if unknown:
            raise UsageError(f"run {run_id} has batches of datasets without contract: {', '.join(unknown)}")
        profiles = [profile(connection, contracts[name], batch_ids) for name, batch_ids in waiting.items()]
    if not profiles:
        return GateReport(run_id, night, 0, (), (), (), (), 0, 0, None, time.monotonic() - started)

    checks = Checks(new_site("landing", night, run_id))
    results: list[CheckResult] = []
    for item, outcome in _outcomes(checks, profiles, landing_suites({name: contracts[name] for name in waiting})):
        results.extend(_results(run_id, night, item, outcome))
    refused = _refusals(profiles, results)
    stopped = {refusal.batch_id for refusal in refused}
    passed = [batch_id for ids in waiting.values() for batch_id in ids if batch_id not in stopped]

    with session("ingest") as connection:
        lock_gate(connection)
        still = {batch_id for ids in _without_event(connection, run_id).values() for batch_id in ids}
        ledger.insert_check_results(connection, results)
        events = ledger.admit(
            connection, [one for one in passed if one in still], reason="passed the landing gate", actor=ACTOR
        )
    admitted = tuple(event.batch_id for event in events if event.event == "admitted")
    superseded = tuple(event.batch_id for event in events if event.event == "superseded")
    failed = [result for result in results if not result.is_success]
    docs = publish_site(
        checks,
        stage="landing",
        night=night,
        run_id=run_id,
        lines=[result.message or "" for result in failed],
        verdict=f"{len(admitted)} admitted, {len(refused)} refused",
    )
    return GateReport(
        run_id=run_id,
        night=night,
        batches=sum(map(len, waiting.values())),
        admitted=admitted,
        superseded=superseded,
        refused=tuple(refused),
        warnings=tuple(result.message or "" for result in failed if result.severity == "warn"),
        checks=len({(result.suite, result.expectation, result.severity) for result in results}),
        failed_checks=len({(result.suite, result.expectation, result.severity) for result in failed}),
        docs=docs,
        seconds=time.monotonic() - started,
    )


def _without_event(connection: PgConnection, run_id: str) -> dict[str, list[int]]:
    """Batches of the run that nothing has been said of: dataset (``trading.lot``) -> batch ids."""
    found: dict[str, list[int]] = {}
    for batch in ledger.batches_of_run(connection, run_id):
        if batch.event is None:
            found.setdefault(f"{batch.system}.{batch.dataset}", []).append(batch.batch_id)
    return found


def _outcomes(
    checks: Checks, profiles: list[Profiles], suites: dict[str, list[Any]]
) -> Iterator[tuple[Profiles, Outcome]]:
    """What came of each rule for each dataset; what all are held to alike is evaluated on all batches at once."""
    shared, own = shared_expectations(suites)
    if shared:
        columns = [name for name in profiles[0].columns if all(name in item.columns for item in profiles)]
        everything = [row for item in profiles for row in item.rows]
        for outcome in checks.validate(EVERY_DATASET, everything, columns, shared, "batch_id"):
            for item in profiles:
                yield item, _of_dataset(outcome, item)
    for item in profiles:
        if own[item.dataset]:
            for outcome in checks.validate(item.dataset, item.rows, item.columns, own[item.dataset], "batch_id"):
                yield item, outcome


def _of_dataset(outcome: Outcome, item: Profiles) -> Outcome:
    """The part of an outcome on all batches that concerns one dataset."""
    if outcome.is_success or not outcome.failures:
        return replace(outcome, suite=item.dataset)
    ids = {row["batch_id"] for row in item.rows}
    failures = tuple(failure for failure in outcome.failures if failure.index in ids)
    counts = {"element_count": len(ids), "unexpected_count": len(failures)}
    observed = {key: value for key, value in outcome.observed.items() if key not in ("observed_value", "missing_count")}
    return replace(
        outcome, suite=item.dataset, is_success=not failures, failures=failures, observed={**observed, **counts}
    )


def _results(run_id: str, night: dt.date, profiles: Profiles, outcome: Outcome) -> list[CheckResult]:
    """One result for a rule that holds, one per batch for a rule that fails: a rule on the whole table, or one that
    could not be evaluated, fails for each batch, so that nothing unchecked is admitted."""

    def result(
        is_success: bool, batch_id: int | None = None, message: str | None = None, **seen: object
    ) -> CheckResult:
        return CheckResult(
            stage="landing",
            suite=outcome.suite,
            expectation=outcome.expectation,
            severity=outcome.severity,
            is_success=is_success,
            observed=observed(outcome.observed, seen),
            message=message,
            run_id=run_id,
            night=night,
            batch_id=batch_id,
        )

    if outcome.is_success:
        return [result(True)]
    rows = {row["batch_id"]: row for row in profiles.rows}
    failures = {failure.index: failure for failure in outcome.failures}
    results = []
    for batch_id in failures or rows:
        failure = failures.get(batch_id)
        subject = f"{profiles.dataset} of {rows[batch_id]['node_code']}, night {night}, batch {batch_id}"
        results.append(
            result(False, batch_id, explain(subject, outcome, failure), **(failure.observed if failure else {}))
        )
    return results


def _refusals(profiles: list[Profiles], results: list[CheckResult]) -> list[Refusal]:
    messages: dict[int, list[str]] = {}
    for result in results:
        if not result.is_success and result.severity == "stop" and result.batch_id is not None:
            messages.setdefault(result.batch_id, []).append(result.message or "")
    return [
        Refusal(row["batch_id"], item.dataset, row["node_code"], tuple(messages[row["batch_id"]]))
        for item in profiles
        for row in item.rows
        if row["batch_id"] in messages
    ]
