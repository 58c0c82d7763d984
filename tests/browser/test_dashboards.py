"""The six dashboards as their readers see them: every chart drawn, no error, and PostgreSQL's numbers in the page."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route
from tests.browser.checks import BUNDLE, NO_RESULTS, asked, differences
from tests.browser.conftest import DOWN, Picture, Stage

from bi.pictures import Visit, visit

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

PROVINCE, SHENYANG = "bi_reader", "bi_shenyang"
BOARDS = pytest.mark.parametrize("name", list(BUNDLE.dashboards))
NUMBERS = {
    ("province", "holding"): "select count(*) from marts.rpt_published_figure where verdict = 'holds'",
    ("province", "not_holding"): "select count(*) from marts.rpt_published_figure where verdict <> 'holds'",
    ("trading", "lots"): "select count(*) from marts.fct_transaction",
    ("supervision", "overdue"): "select sum(overdue_issues) from marts.rpt_batch_progress",
    ("hotline", "orders"): "select count(*) from marts.fct_work_order",
    ("hotline", "experts"): "select count(distinct expert_code) from marts.fct_expert_session",
    ("sources", "rejected"): "select sum(night_quarantined_rows) from marts.rpt_provision",
}
"""Big numbers, asked of the marts without a dataset in between."""
TABLES: dict[tuple[str, str], tuple[tuple[int, ...], str]] = {
    ("province", "figures"): (
        (1, 3, 8),
        "select statement, value, oldest_contribution_nights from marts.rpt_published_figure",
    ),
    ("trading", "flags"): ((0, 1), "select red_flag_id, count(*) from marts.rpt_red_flag group by 1"),
    ("supervision", "batches"): (
        (0, 2, 3),
        "select coalesce(batch_no::text, batch_code), sum(assigned_issues), sum(resolved_issues)"
        " from marts.rpt_batch_progress group by 1",
    ),
    ("hotline", "cities"): (
        (0, 1),
        "select d.division_name, sum(k.orders) from marts.rpt_hotline_kpi as k"
        " join marts.dim_division as d on d.region_code = k.node_code group by 1",
    ),
    ("sunshine", "levels"): (
        (4, 5),
        "select division_code, sum(disclosures) from marts.rpt_sunshine_coverage"
        " where division_level = 'city' group by 1",
    ),
    ("sources", "datasets"): (
        (0, 1, 2, 3),
        "select system, dataset, count(*), count(*) filter (where is_missing) from marts.rpt_provision group by 1, 2",
    ),
}
"""One table of each dashboard: columns as the page shows them, and their rows in the marts."""
KEYED = {("trading", "flags"), ("supervision", "batches")}
"""Tables whose first cell begins with the key."""


@BOARDS
def test_the_province_sees_every_chart_with_postgresqls_numbers(
    stage: Stage, page_of: Callable[[str], Page], picture: Picture, name: str
) -> None:
    seen = _seen(stage, page_of(PROVINCE), name)
    picture(page_of(PROVINCE), f"dashboard-{name}")
    assert differences(seen, BUNDLE.dashboards[name], PROVINCE) == []
    assert [chart for chart, shown in seen.charts.items() if shown.is_empty] == []
    _assert_marts(seen, name, PROVINCE)
    assert DOWN in seen.charts["published"].text, "each dashboard names the node that was down"


@BOARDS
def test_a_city_sees_that_city_only(stage: Stage, page_of: Callable[[str], Page], picture: Picture, name: str) -> None:
    seen = _seen(stage, page_of(SHENYANG), name)
    picture(page_of(SHENYANG), f"city-{name}")
    assert differences(seen, BUNDLE.dashboards[name], SHENYANG) == []
    _assert_marts(seen, name, SHENYANG)
    cities = "select distinct city_name from marts.dim_division where city_name <> '沈阳市'"
    others = [name for (name,) in asked(PROVINCE, cities)]
    assert "大连市" in others
    assert [city for city in others if city in seen.text] == []
    for chart, shown in seen.charts.items():
        for row in shown.data or []:
            assert row.get("city_name", "沈阳市") == "沈阳市", chart
            assert str(row.get("lot_city", "沈阳市")).removeprefix("to ") == "沈阳市", chart
            assert str(row.get("division_label", "2101")).startswith("2101"), chart
            assert str(row.get("division_full_name", "沈阳市")).startswith("沈阳市"), chart


def test_a_period_without_rows_is_said_to_have_none(
    stage: Stage, page_of: Callable[[str], Page], picture: Picture
) -> None:
    board = BUNDLE.dashboards["hotline"]
    state = "(id:NATIVE_FILTER-period,extraFormData:(time_range:'{0}'),filterState:(value:'{0}'),ownState:())"
    period = state.format("2031-01-01 : 2031-02-01")
    seen = visit(page_of(PROVINCE), stage.superset, board, f"?native_filters=(NATIVE_FILTER-period:{period})")
    picture(page_of(PROVINCE), "empty-hotline")
    assert seen.wrong == []
    reached = {name for name, chart in board.charts.items() if BUNDLE.datasets[chart.dataset].time}
    assert {name for name, shown in seen.charts.items() if NO_RESULTS in shown.text or shown.number} >= reached
    assert {seen.charts[name].number for name in ("orders", "satisfaction", "experts")} <= {"0", "N/A", "No data", None}


def test_the_checks_see_a_failed_chart_a_changed_number_and_another_citys_row(
    stage: Stage, page_of: Callable[[str], Page]
) -> None:
    """The checks themselves: Superset's answers are spoilt on their way to the page."""
    board = BUNDLE.dashboards["hotline"]
    page = page_of(PROVINCE)

    def spoil(route: Route) -> None:
        answer = route.fetch()
        told = answer.json()
        rows = told["result"][0]["data"]
        if "closure_rate" in rows[0] and "class_name" in rows[0]:
            route.fulfill(status=500, json={"message": "spoilt"})
            return
        if rows and list(rows[0]) == ["orders"]:
            rows[0]["orders"] += 1
        if "week_code" in rows[0]:
            del rows[0]
        route.fulfill(response=answer, json=told)

    page.route("**/api/v1/chart/data*", spoil)
    seen = visit(page, stage.superset, board)
    page.unroute("**/api/v1/chart/data*")
    found = "\n".join(differences(seen, board, PROVINCE))
    assert re.search(r"^500: .*chart/data", found, re.MULTILINE)
    assert "hotline.classes: the page was told nothing" in found
    assert "hotline.orders: the page was told 1 rows" in found
    assert "hotline.policies: the page was told" in found
    with pytest.raises(AssertionError):
        _assert_marts(seen, "hotline", PROVINCE)
    assert "hotline.cities" not in found


def _seen(stage: Stage, page: Page, name: str) -> Visit:
    return visit(page, stage.superset, BUNDLE.dashboards[name])


def _assert_marts(seen: Visit, name: str, role: str) -> None:
    for (board, chart), statement in NUMBERS.items():
        if board == name:
            ((value,),) = asked(role, statement)
            assert (seen.charts[chart].is_empty and not value) or seen.charts[chart].number == _written(value), chart
    for (board, chart), (columns, statement) in TABLES.items():
        if board == name:
            rows = asked(role, statement)
            shown = [[row[column] for column in columns] for row in seen.charts[chart].rows]
            if (board, chart) in KEYED:
                shown = [[first.split()[0], *others] for first, *others in shown]
            assert sorted(shown) == sorted([_written(value) for value in row] for row in rows), chart


def _written(value: Any) -> str:
    """As a cell has it: thousands separated, two decimals at most."""
    if isinstance(value, str):
        return value
    return f"{value:,.2f}".rstrip("0").removesuffix(".") if value % 1 else f"{value:,.0f}"
