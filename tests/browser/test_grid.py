"""Airflow's own pages of a night in which one node was down: who looks there finds it by its code."""

from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page
from tests.browser.checks import asked
from tests.browser.conftest import DOWN, Picture, Stage

from bi.pictures import SECONDS, watched

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

ROWS = "[...document.querySelectorAll('tbody tr')].map(row => [...row.cells].map(cell => cell.innerText.trim()))"


@pytest.fixture(scope="module")
def page(browser: Browser, stage: Stage) -> Page:
    opened = browser.new_context(viewport={"width": 1600, "height": 1000}).new_page()
    opened.set_default_timeout(SECONDS * 1000)
    opened.goto(stage.demo.airflow.url)
    opened.fill("input[name=username]", "admin")
    opened.fill("input[name=password]", stage.demo.airflow.password)
    opened.keyboard.press("Enter")
    opened.wait_for_url(f"{stage.demo.airflow.url}/")
    return opened


def test_the_grid_shows_the_failed_node_by_its_code_and_the_night_as_published(
    stage: Stage, page: Page, picture: Picture
) -> None:
    rows = _rows(page, stage, "")
    picture(page, "grid")
    failed = {(task, node) for _, task, node, state, *_ in rows if state == "Failed"}
    ((missing,),) = asked("bi_reader", "select missing_nodes from marts.publication")
    assert failed == {(f"ingest_{system}.county", node) for system, nodes in missing.items() for node in nodes}
    assert {node for _, node in failed} == {DOWN}
    states = {task: state for _, task, _, state, *_ in rows if "." not in task}
    assert states["publish"] == "Success", "one node does not stop the night"
    counts = stage.demo.airflow.task_counts(stage.run_id)
    assert len(rows) == sum(sum(of.values()) for of in counts.values())


def test_a_systems_task_lists_its_nodes_with_the_one_that_failed(stage: Stage, page: Page, picture: Picture) -> None:
    rows = _rows(page, stage, "/tasks/ingest_trading.county/mapped")
    picture(page, "grid-nodes")
    nodes = {node: state for _, node, state, *_ in rows}
    assert nodes.pop(DOWN) == "Failed"
    assert set(nodes.values()) == {"Success"}
    told = asked(
        "bi_reader",
        "select distinct node_code from marts.rpt_provision where system = 'trading' and right(node_code, 2) <> '00'",
    )
    assert {DOWN, *nodes} == {node for (node,) in told}


def _rows(page: Page, stage: Stage, path: str) -> list[list[str]]:
    """Rows of the page's table, once it names the node."""
    with watched(page) as wrong:
        page.goto(f"{stage.demo.airflow.url}/dags/nightly/runs/{quote(stage.run_id)}{path}")
        page.wait_for_selector(f"tbody >> text={DOWN}")
        page.wait_for_selector("text=publish_gate")
        page.wait_for_load_state("networkidle")
    assert wrong == []
    found: list[list[str]] = page.evaluate(ROWS)
    return found
