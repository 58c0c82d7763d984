"""Dashboards as a person meets them, in Debian's chromium: what each page shows, what it was told, and its picture.

    PYTHONPATH=.venv-browser .venv/bin/python -m bi.pictures URL USER FOLDER [DASHBOARD ...] < password

It needs the packages of requirements/browser.lock.txt in `.venv-browser`, chromium and a Chinese font
(`make test-browser` says how to get them).
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Browser, Page, Response, sync_playwright

from bi.model import Dashboard, load

CHROMIUM = "/usr/bin/chromium"
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
WIDTH, HEIGHT = 1600, 1000
AROUND_THE_GRID = 200
"""Pixels of the page's head and margins, above and below the charts."""
SECONDS = 180
NO_ROWS = "No rows 无数据"
"""How the sentence in place of a chart begins, where a mart has nothing that the user may see; its answer is a 404."""
GRID = "document.querySelector('.grid-content')?.scrollHeight ?? 0"
ALERTS = "[...document.querySelectorAll('[role=alert], .ant-alert')].map(one => one.innerText.slice(0, 300))"
CHARTS = """
[...document.querySelectorAll('[data-test=chart-grid-component]')].map(one => {
    const canvas = one.querySelector('canvas');
    const colours = new Set();
    if (canvas) {
        const drawn = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        new Uint32Array(drawn.buffer).forEach(pixel => colours.size < 4 && colours.add(pixel));
    }
    const body = one.querySelector('.dashboard-chart');
    return {
        title: one.dataset.testChartName,
        id: Number(one.dataset.testChartId),
        loading: one.querySelector('[data-test=loading-indicator], .loading') !== null,
        drawn: one.querySelector('[id^=chart-id-]') !== null,
        empty: one.querySelector('.ant-empty') !== null,
        colours: colours.size,
        text: body ? body.innerText : '',
        number: one.querySelector('.header-line')?.innerText ?? null,
        rows: [...one.querySelectorAll('tbody tr')].map(row => [...row.cells].map(cell => cell.innerText.trim())),
        cut: [...one.querySelectorAll('.header-title, .header-line, th, td')]
            .filter(cell => cell.scrollWidth > cell.clientWidth + 1 && cell.clientWidth > 0)
            .map(cell => cell.innerText.trim()).filter(text => text),
    };
})
"""


@dataclass
class Shown:
    """What one chart shows in the page, and what the page was told of it.

    Attributes:
        number: text of a big number; None for other kinds.
        rows: texts of a table's cells.
        colours: distinct colours of a drawing, counted up to 4; 0 where nothing is drawn.
        cut: texts that do not fit where they stand.
        data: rows of the last answer to the page's question for this chart.
    """

    text: str
    number: str | None
    rows: list[list[str]]
    colours: int
    is_drawn: bool
    is_empty: bool
    cut: list[str]
    data: list[dict[str, Any]] | None = None


@dataclass
class Visit:
    """One opened dashboard: its charts by their names in the bundle, the text of the page, and what went wrong."""

    charts: dict[str, Shown] = field(default_factory=dict)
    text: str = ""
    wrong: list[str] = field(default_factory=list)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's chromium, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watched(page: Page) -> Iterator[list[str]]:
    """What goes wrong in the page meanwhile: errors of its scripts, requests that fail or leave this machine.

    What the page's own policy refuses has not left: Superset's page asks for a picture of a telemetry host.
    """
    wrong: list[str] = []
    refused_by_policy = "violates the following Content Security Policy directive"
    heard = {
        "pageerror": lambda error: wrong.append(f"script: {error}"),
        "console": lambda said: (
            said.type == "error" and refused_by_policy not in said.text and wrong.append(f"console: {said.text}")
        ),
        "requestfailed": lambda request: (
            request.failure not in ("csp", "net::ERR_ABORTED")
            and wrong.append(f"request failed: {request.url} {request.failure}")
        ),
        "response": lambda answer: answer.status >= 400 and wrong.append(f"{answer.status}: {answer.url}"),
        "requestfinished": lambda request: (
            urlsplit(request.url).hostname not in ("127.0.0.1", None)
            and wrong.append(f"answered by somebody else: {request.url}")
        ),
    }
    for event, hear in heard.items():
        page.on(event, hear)  # type: ignore[call-overload]
    try:
        yield wrong
    finally:
        for event, hear in heard.items():
            page.remove_listener(event, hear)


def log_in(browser: Browser, url: str, user: str, password: str) -> Page:
    """A page of its own for the user, logged in by Superset's form."""
    page = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, locale="en-US").new_page()
    page.set_default_timeout(SECONDS * 1000)
    page.goto(f"{url}/login/")
    page.wait_for_selector("input[type=password]")
    page.fill("input#username", user)
    page.fill("input[type=password]", password)
    page.keyboard.press("Enter")
    page.wait_for_url("**/welcome/**")
    return page


def visit(page: Page, url: str, board: Dashboard, query: str = "") -> Visit:
    """Open a dashboard and wait until each of its charts is drawn, or says why not.

    Args:
        query: of the address, such as a native filter's state (`?native_filters=...`).
    """
    names = {chart.title: name for name, chart in board.charts.items()}
    found, answers = Visit(), dict[int, Response]()

    def keep(answer: Response) -> None:
        if "/api/v1/chart/data" in answer.url:
            answers[_slice(answer)] = answer

    page.goto(
        "about:blank"
    )  # leaving a dashboard, Superset stores its colours, which a reader may not: not of this visit
    page.on("response", keep)
    with watched(page) as wrong:
        page.goto(f"{url}/superset/dashboard/{board.name}/{query}")
        page.wait_for_selector("[data-test=chart-grid-component]")
        page.set_viewport_size({"width": WIDTH, "height": max(HEIGHT, int(page.evaluate(GRID)) + AROUND_THE_GRID)})
        charts = _settled(page, len(names))
        page.wait_for_load_state("networkidle")
        alerts = [f"alert: {text}" for text in page.evaluate(ALERTS) if NO_ROWS not in text]
        found.wrong = [one for one in wrong if not _says_no_rows(one, answers)] + alerts
    page.remove_listener("response", keep)
    found.text = page.inner_text("body")
    for one in charts:
        told = answers.get(one["id"])
        data = told.json()["result"][0]["data"] if told and told.ok else None
        none = NO_ROWS in one["text"]
        found.charts[names[one["title"]]] = Shown(
            one["text"], one["number"], one["rows"], one["colours"], one["drawn"] or none, one["empty"] or none,
            one["cut"], [] if none else data,
        )  # fmt: skip
    for name in board.charts.keys() - found.charts.keys():
        found.wrong.append(f"{name}: the page has no such chart")
    return found


def _says_no_rows(wrong: str, answers: dict[int, Response]) -> bool:
    """Whether what was heard is the answer that a mart is empty. The console has no address: it echoes an answer."""
    if wrong.startswith("console: Failed to load resource: the server responded with a status of 404"):
        return True
    none = [
        answer
        for answer in answers.values()
        if answer.status == 404 and NO_ROWS in answer.json()["errors"][0]["message"]
    ]
    return wrong in {f"404: {answer.url}" for answer in none}


def _slice(answer: Response) -> int:
    """Id of the chart that was asked for; 0 for what a filter lets choose from."""
    asked = parse_qs(urlsplit(answer.url).query).get("form_data")
    form = json.loads(asked[0]) if asked else json.loads(answer.request.post_data or "{}")["form_data"]
    return int(form.get("slice_id", 0))


def _settled(page: Page, count: int) -> list[dict[str, Any]]:
    """The charts, once all are there, none is loading, and none has changed for a second."""
    end = time.monotonic() + SECONDS
    before: list[dict[str, Any]] = []
    while time.monotonic() < end:
        charts: list[dict[str, Any]] = page.evaluate(CHARTS)
        ended = [one for one in charts if not one["loading"] and one["text"] + "x" * one["colours"]]
        if len(ended) == count and charts == before:
            return charts
        before = charts
        page.wait_for_timeout(1000)
    return before


def main(url: str, user: str, folder: Path, names: tuple[str, ...], password: str) -> list[str]:
    """Take a picture of each dashboard; returns what the pages say went wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    wrong = []
    boards = load().dashboards
    with chromium() as browser:
        page = log_in(browser, url, user, password)
        for name in names or boards:
            found = visit(page, url, boards[name])
            wrong += [f"{name}: {error}" for error in found.wrong]
            page.screenshot(path=folder / f"{name}.png")
    return wrong


if __name__ == "__main__":
    said = main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), tuple(sys.argv[4:]), sys.stdin.readline().strip())
    sys.exit("\n".join(said) or 0)
