"""supervision has its published totals with seed 1, others with other seeds, and keeps them night after night."""

from decimal import Decimal

import polars as pl
import pytest

from simulator.books import Books
from simulator.fleet import all_nodes, fleet
from simulator.source import Context
from simulator.supervision.figures import figures
from simulator.supervision.history import history
from simulator.supervision.schema import SUPERVISION
from simulator.supervision.totals import totals

BASE = 20240813
COUNTS = {
    "issues_assigned_total": 8651,
    "issues_assigned_batch_1": 5864,
    "issues_resolved_batch_1": 5657,
    "issues_assigned_batch_2": 2787,
    "issues_resolved_batch_2": 2523,
    "commitments_fulfilled": 713,
    "executions_corrected": 362,
    "approvals_delegated": 39,
}


@pytest.fixture(scope="module")
def books(whole: Books) -> Books:
    return Books(whole.root, SUPERVISION)


def good(books: Books, dataset: str) -> pl.DataFrame:
    return books.delivered(dataset, BASE).filter(pl.col("_bad").is_null() & ~pl.col("_kind").is_in(["copy", "older"]))


def test_the_whole_province_has_the_published_figures_at_every_scale(books: Books) -> None:
    found = figures(books, BASE)
    assert {name: found[name] for name in COUNTS} == COUNTS
    assert round(found["completion_rate_batch_1"], 1) == Decimal("96.5")
    assert round(found["completion_rate_batch_2"], 1) == Decimal("90.5")
    for name, published in (("debts_repaid", 3279), ("execution_payments", 484)):
        assert round(found[name] / 1_000_000) == published
        assert found[name] % 1_000_000 != 0


def test_nights_move_no_figure(whole: Books, tiny: Books) -> None:
    for root in (whole.root, tiny.root):
        mine = Books(root, SUPERVISION)
        base = figures(mine, BASE)
        assert all(figures(mine, night) == base for night in mine.nights())


def test_another_seed_has_other_totals_and_meets_them() -> None:
    context = Context(SUPERVISION, 2, 0.002, "tiny", fleet("tiny"))
    other, first = totals(context), totals(Context(SUPERVISION, 1, 0.002, "tiny", fleet("tiny")))
    for name in ("assigned", "resolved", "debts_cents", "commitments", "executions", "payments_cents", "approvals"):
        assert getattr(other, name) != getattr(first, name), name
    outcomes = (
        history(context)
        .delivered["issue_outcome"]
        .filter(pl.col("_bad").is_null() & (pl.col("_kind") == "new") & (pl.col("OUTCOME_TIME") < "20230627"))
    )
    debts = outcomes.filter(pl.col("OUTCOME_TYPE") == "debt_repaid")["_milli"].sum()
    assert debts == other.debts_cents * 10


def test_every_node_has_issues_of_both_batches_and_about_six_events_each(books: Books) -> None:
    issues = good(books, "issue")
    for batch in ("PC01", "PC02"):
        assert set(issues.filter(pl.col("BATCH_CODE") == batch)["NODE_CODE"]) == {n.code for n in all_nodes()}
    events = good(books, "issue_event")
    assert 5.5 < events.height / issues.height < 6.5
    assert set(events["_node"]) == {node.index for node in all_nodes()}
    assert (events["EVENT_ID"].str.slice(4, 6) == events["NODE_CODE"]).all()
    assert events["EVENT_ID"].is_unique().all()
    assert issues["ISSUE_CODE"].is_unique().all()


def test_events_of_an_issue_follow_each_other_on_different_days(books: Books) -> None:
    events = good(books, "issue_event").filter(~pl.col("_deleted")).with_columns(
        day=pl.col("EVENT_TIME").str.slice(0, 8)
    )  # fmt: skip
    ordered = events.sort("EVENT_ID").with_columns(before=pl.col("day").shift().over("ISSUE_CODE"))
    assert (ordered["day"] > ordered["before"]).all()
    assert ordered["day"].max() <= "20240813"
    assert good(books, "issue_event")["DATA_TIMESTAMP"].max() < "20240814"
    first = good(books, "issue_event").sort("EVENT_ID").group_by("ISSUE_CODE", maintain_order=True).first()
    assert set(first["EVENT_TYPE"]) == {"assigned"}
    joined = first.join(good(books, "issue"), on="ISSUE_CODE")
    assert (joined["EVENT_TIME"].str.slice(0, 8) == joined["ASSIGN_TIME"].str.slice(0, 8)).all()


def test_amounts_are_what_the_books_say(books: Books) -> None:
    money = good(books, "issue_outcome").filter(pl.col("_milli").is_not_null())
    factor = pl.when(money["PRICE_UNIT"] == "1").then(10_000_000).otherwise(1000).cast(pl.Decimal(30, 6))
    milli = money.select((pl.col("AMOUNT").cast(pl.Decimal(30, 6)) * factor).cast(pl.Int64).alias("m"))["m"]
    assert (milli == money["_milli"]).all()
    assert set(money["PRICE_UNIT"]) == {"0", "1"}
    assert money["_milli"].min() > 0


def test_most_issues_open_at_the_cut_off_are_closed_later_and_some_closed_ones_reopened(books: Books) -> None:
    events = good(books, "issue_event").filter(~pl.col("_deleted") & (pl.col("EVENT_TIME") >= "20230627"))
    kinds = dict(events.filter(~pl.col("ISSUE_CODE").str.starts_with("WT03"))["EVENT_TYPE"].value_counts().iter_rows())
    assert kinds["closed"] > 300
    assert kinds["reopened"] > 100
