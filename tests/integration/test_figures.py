"""The published figures over nights of a small province: its own truth, a node that never came, one issue more."""

import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from tests.conftest import Warehouse
from tests.support.checker import assert_marts_equal_books, assert_nothing_lost
from tests.support.contract_marts import publish_rows
from tests.support.province import served
from typer.testing import CliRunner

from demo.registry import write_registry
from simulator import Province
from yingshang.cli import night as night_command
from yingshang.cli.app import root_app
from yingshang.errors import AuditFailed, UsageError
from yingshang.quality.figures import Figure, published_figures

SEED = 7
RESOLVED_BY_THE_CUT_OFF = """
select e.issue_code
from marts.fct_issue_event e
join marts.fct_issue i using (issue_code)
where i.batch_code = 'PC01' and i.is_resolved and not i.is_out_of_order
group by e.issue_code
having max(e.occurred_at) < '2023-06-15'
order by e.issue_code
limit 1
"""


@pytest.fixture
def province(tmp_path: Path, warehouse: Warehouse) -> Iterator[Province]:
    """Served, and the registry of the warehouse's installation is its own."""
    with served(Province(tmp_path / "province", seed=SEED, profile="tiny"), warehouse) as running:
        yield running


def run_night(night: str) -> None:
    night_command.command(night=date.fromisoformat(night), parallel=2, full=False)


def figures() -> dict[str, Figure]:
    return {one.figure: one for one in published_figures().figures}


def truth(province: Province) -> dict[str, Decimal]:
    return {name: Decimal(value) for name, value in province.figures().select("figure", "value").iter_rows()}


def test_no_figures_are_told_and_not_counted_as_none(warehouse: Warehouse) -> None:
    with pytest.raises(UsageError, match=r"no figures have been published yet \(尚未发布\): run a night first"):
        published_figures()
    with warehouse.admin() as admin:
        publish_rows(admin, {"rpt_published_figure": []})
    with pytest.raises(UsageError, match=r"publication 7 of night 2024-08-13 holds no figures \(无公布数字\)"):
        published_figures()


@pytest.mark.timeout(900)
def test_figures_are_those_of_the_provinces_own_books_and_move_by_one_issue(
    warehouse: Warehouse, province: Province
) -> None:
    run_night("2024-08-13")
    with warehouse.connect("bi_reader") as reader, warehouse.connect("owner") as owner:
        assert_marts_equal_books(reader, province.state / "truth" / "2024-08-13.csv")
        assert_nothing_lost(owner)
        row = reader.execute(RESOLVED_BY_THE_CUT_OFF).fetchone()
        assert row is not None
    before, books = figures(), truth(province)
    assert {name: one.verdict for name, one in before.items()} == dict.fromkeys(books, "holds")
    assert all(abs((one.value or 0) - books[name]) < Decimal("0.000001") for name, one in before.items())
    assert before["issues_assigned_total"].value != before["issues_assigned_total"].published_value
    assert before["issues_assigned_total"].basis == "simulated"
    assert before["transaction_types"].basis == "published"
    assert before["issues_resolved_batch_1"].contributing_node_codes == sorted(node.code for node in province.nodes())
    assert before["sunshine_users"].oldest_contribution_nights == 0

    told = CliRunner().invoke(root_app(["figures"]), ["figures", "--json"])
    assert told.exit_code == 0, told.output
    assert [one["verdict"] for one in json.loads(told.output)["figures"]] == ["holds"] * 24

    # one issue is open again, by an event before the cut-off: the old figure is wrong now, and nothing is published
    province.reopen_issue(row[0], at="20230620120000")
    province.advance()
    with pytest.raises(AuditFailed, match=r"issues_resolved_batch_1 \(\d+ instead of \d+"):
        run_night("2024-08-14")
    assert published_figures().night.isoformat() == "2024-08-13"

    # its own books agree with one less
    write_registry(warehouse.state / "registry", province)
    province.advance()
    run_night("2024-08-15")
    after, books = figures(), truth(province)
    assert after["issues_resolved_batch_1"].value == (before["issues_resolved_batch_1"].value or 0) - 1
    changed = {name for name, one in after.items() if one.value != before[name].value}
    assert changed == {"issues_resolved_batch_1", "completion_rate_batch_1"}
    assert {one.verdict for one in after.values()} == {"holds"}


@pytest.mark.timeout(900)
def test_a_county_that_never_delivered_makes_its_figures_incomplete_and_stops_nothing(
    warehouse: Warehouse, province: Province
) -> None:
    province.node_down("210102")
    run_night("2024-08-13")
    found = figures()
    incomplete = {name for name, one in found.items() if one.verdict == "incomplete"}
    assert incomplete == {
        "transaction_types", "transaction_industries", "issues_resolved_batch_1", "completion_rate_batch_1",
        "issues_resolved_batch_2", "completion_rate_batch_2", "debts_repaid", "commitments_fulfilled",
        "executions_corrected", "execution_payments", "approvals_delegated",
    }  # fmt: skip
    assert all(found[name].missing_node_codes == ["210102"] for name in incomplete)
    assert {one.verdict for name, one in found.items() if name not in incomplete} == {"holds"}
    told = CliRunner().invoke(root_app(["figures"]), ["figures"])
    assert told.exit_code == 0, told.output
    assert "incomplete: 210102 missing" in told.output
    with warehouse.connect("owner") as owner:
        warned = owner.execute(
            "select message from ops.check_result where suite = 'rpt_published_figure.by_figure' and not is_success"
        ).fetchall()
        assert len(warned) == 1
        assert "(210102 missing)" in warned[0][0]
