"""The night's report in a browser: nothing from elsewhere, charts drawn, no text cut, and the marts' numbers."""

import pytest
from playwright.sync_api import Browser, Page
from psycopg import sql
from tests.browser.checks import asked
from tests.browser.conftest import DOWN, Picture, Stage

from bi.pictures import watched

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

NIGHT = "2024-08-14"
CUT = """
[...document.querySelectorAll('h1, h2, h3, p, th, td, caption, figcaption, li')]
    .filter(one => one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0)
    .map(one => one.innerText)
    .concat([...document.querySelectorAll('svg')].flatMap(svg => {
        const frame = svg.getBoundingClientRect();
        return [...svg.querySelectorAll('text')].filter(one => {
            const box = one.getBoundingClientRect();
            return box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1;
        }).map(one => one.textContent);
    }))
    .concat(document.documentElement.scrollWidth > window.innerWidth ? ['the page is wider than its window'] : [])
"""
OVERLAPS = """
[...document.querySelectorAll('svg')].flatMap(svg => {
    const boxes = [...svg.querySelectorAll('text')].filter(one => one.textContent.trim())
        .map(one => [one.textContent, one.getBBox(), one.getCTM()])
        .map(([text, box, at]) => [text, at.e + box.x, at.f + box.y, box.width, box.height, at.b]);
    return boxes.flatMap((a, index) => boxes.slice(index + 1)
        .filter(b => a[5] === 0 && b[5] === 0 && a[1] < b[1] + b[3] && b[1] < a[1] + a[3]
            && a[2] < b[2] + b[4] && b[2] < a[2] + a[4])
        .map(b => `${a[0]} / ${b[0]}`));
})
"""
BARS = "[...document.querySelectorAll('svg')].map(svg => svg.querySelectorAll('.mark-rect path').length)"
ROWS = """
(id) => [...document.querySelectorAll(`#${id} tbody tr`)].map(row => [...row.cells].map(cell => cell.innerText.trim()))
"""


@pytest.fixture
def page(browser: Browser, stage: Stage) -> Page:
    opened = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    with watched(opened) as wrong:
        opened.goto((stage.demo.layout.state / "reports" / f"{NIGHT}.html").as_uri())
        opened.wait_for_load_state("networkidle")
    assert wrong == []
    return opened


def test_its_charts_are_drawn_and_nothing_is_cut_or_lies_over_another(page: Page, picture: Picture) -> None:
    page.set_viewport_size({"width": 1280, "height": page.evaluate("document.documentElement.scrollHeight")})
    picture(page, "report")
    assert page.evaluate("document.querySelectorAll('script, img, link, iframe').length") == 0
    assert len(page.evaluate(BARS)) == 3
    assert all(page.evaluate(BARS)), "bars in each chart"
    assert page.evaluate(CUT) == []
    assert page.evaluate(OVERLAPS) == []
    for width in (700, 1600):
        page.set_viewport_size({"width": width, "height": 900})
        assert "the page is wider than its window" not in page.evaluate(CUT), width


def test_its_numbers_are_those_of_the_marts(page: Page) -> None:
    marts = {name: rows for name, rows, *_ in page.evaluate(ROWS, "published")}
    assert marts
    for name, shown in marts.items():
        ((count,),) = asked("bi_reader", sql.SQL("select count(*) from {}").format(sql.Identifier("marts", name)))
        assert shown == f"{count:,}", name
    figures = {row[0].splitlines()[0]: row for row in page.evaluate(ROWS, "figures")}
    told = asked(
        "bi_reader",
        "select figure, value, current_value, verdict, oldest_contribution_nights from marts.rpt_published_figure",
    )
    assert figures.keys() == {row[0] for row in told}
    for figure, value, current, verdict, age in told:
        row = figures[figure]
        assert (row[3], row[5], row[7]) == (_number(value), _number(current), str(age)), figure
        assert row[6].startswith(verdict), figure
    arrived = {row[0]: (row[2], row[3], row[5]) for row in page.evaluate(ROWS, "arrived")}
    provisions = asked(
        "bi_reader",
        "select system, count(*), count(*) filter (where night_outcome = 'loaded'),"
        " count(*) filter (where night_outcome = 'failed') from marts.rpt_provision group by 1",
    )
    assert arrived == {system: tuple(f"{one:,}" for one in counts) for system, *counts in provisions}


def test_it_names_the_node_that_was_down(page: Page) -> None:
    assert page.inner_text("#person").count(f"{DOWN} 中山区") >= 2
    missing = asked("bi_reader", f"select count(*) from marts.rpt_provision where is_missing and node_code = '{DOWN}'")
    assert f"Provisions that did not arrive ({missing[0][0]})" in page.inner_text("#person")


def test_the_check_of_cut_texts_sees_one(page: Page) -> None:
    page.add_style_tag(content="#figures tbody th { max-width: 40px; overflow: hidden; white-space: nowrap; }")
    assert "hotline_departments" in " ".join(page.evaluate(CUT))


def _number(value: object) -> str:
    """As the report writes it: three decimals where it is not whole."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.3f}"  # type: ignore[call-overload, str-format]
