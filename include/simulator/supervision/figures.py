"""The published figures of supervision, counted from the books at their cut-off, 2023-06-26."""

from decimal import Decimal

import polars as pl

from simulator.books import Books
from simulator.source import Figures, percent
from simulator.supervision.totals import CUT_OFF


def figures(books: Books, night: int) -> Figures:
    """The twelve figures of supervision as the books of ``night`` (yyyymmdd) give them."""
    issues = _live(books, "issue", night, ["BATCH_CODE", "ASSIGN_TIME"])
    assigned = issues.filter(pl.col("ASSIGN_TIME").str.slice(0, 8) <= CUT_OFF)
    resolved = assigned.join(resolved_issues(books, night), on="ISSUE_CODE", how="semi")
    found: Figures = {"issues_assigned_total": assigned.height}
    for number in (1, 2):
        of_batch = pl.col("BATCH_CODE") == f"PC{number:02d}"
        some, done = assigned.filter(of_batch).height, resolved.filter(of_batch).height
        found[f"issues_assigned_batch_{number}"] = some
        found[f"issues_resolved_batch_{number}"] = done
        found[f"completion_rate_batch_{number}"] = percent(done, some)
    outcomes = _live(books, "issue_outcome", night, ["OUTCOME_TYPE", "QUANTITY", "OUTCOME_TIME"]).filter(
        pl.col("OUTCOME_TIME").str.slice(0, 8) <= CUT_OFF
    )
    for name, type_code in (("debts_repaid", "debt_repaid"), ("execution_payments", "execution_paid")):
        found[name] = _yuan(outcomes.filter(pl.col("OUTCOME_TYPE") == type_code)["_milli"])
    for name, type_code in (
        ("commitments_fulfilled", "commitment_fulfilled"),
        ("executions_corrected", "execution_corrected"),
        ("approvals_delegated", "approval_delegated"),
    ):
        found[name] = int(outcomes.filter(pl.col("OUTCOME_TYPE") == type_code)["QUANTITY"].cast(pl.Int64).sum())
    return found


def resolved_issues(books: Books, night: int) -> pl.DataFrame:
    """ISSUE_CODE of issues whose last event up to the cut-off is ``closed``, after a ``verified`` one."""
    events = _live(books, "issue_event", night, ["ISSUE_CODE", "EVENT_TYPE", "EVENT_TIME"]).filter(
        pl.col("EVENT_TIME").str.slice(0, 8) <= CUT_OFF
    )
    ordered = in_order(events).group_by("ISSUE_CODE", maintain_order=True).agg(
        last=pl.col("EVENT_TYPE").last(), verified=(pl.col("EVENT_TYPE") == "verified").any()
    )  # fmt: skip
    return ordered.filter((pl.col("last") == "closed") & pl.col("verified")).select("ISSUE_CODE")


def in_order(events: pl.DataFrame) -> pl.DataFrame:
    """Events by time, then by number; a date alone is its first second."""
    return events.sort(pl.col("EVENT_TIME").str.pad_end(14, "0"), "EVENT_ID")


def _live(books: Books, dataset: str, night: int, columns: list[str]) -> pl.DataFrame:
    return books.latest(dataset, night, columns).filter(~pl.col("_deleted"))


def _yuan(milli: pl.Series) -> int | Decimal:
    """Yuan and cents."""
    return Decimal(int(milli.sum())) / 1000
