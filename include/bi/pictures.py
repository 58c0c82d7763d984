"""Pictures of the dashboards, taken with Debian's chromium: what a person should look at before a dashboard is changed.

    python pictures.py URL USER FOLDER [DASHBOARD ...] < password

It needs the packages of requirements/browser.lock.txt, chromium, and a Chinese font (Debian: chromium, fonts-noto-cjk).
"""

import sys
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

NAMES = ("province", "trading", "supervision", "hotline", "sunshine", "sources")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
WIDTH, HEIGHT = 1600, 1000
LOADING = "document.querySelectorAll('[data-test=\"loading-indicator\"], .loading').length"
GRID = "document.querySelector('.grid-content')?.scrollHeight ?? 0"
ERRORS = "[...document.querySelectorAll('[role=alert], .ant-alert')].map(one => one.innerText.slice(0, 200))"


def main(url: str, user: str, folder: Path, names: tuple[str, ...], password: str) -> list[str]:
    """Take a picture of each dashboard; returns what the pages say went wrong."""
    wrong = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(QUIET))
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, locale="en-US")
        page.goto(f"{url}/login/")
        page.wait_for_selector("input[type=password]")
        page.fill("input#username", user)
        page.fill("input[type=password]", password)
        page.keyboard.press("Enter")
        page.wait_for_url("**/welcome/**")
        for name in names:
            page.goto(f"{url}/superset/dashboard/{name}/")
            page.wait_for_selector(".dashboard-component-chart-holder")
            page.set_viewport_size({"width": WIDTH, "height": max(HEIGHT, int(page.evaluate(GRID)) + 330)})
            _wait(page)
            wrong += [f"{name}: {error}" for error in page.evaluate(ERRORS)]
            page.screenshot(path=folder / f"{name}.png")
            page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
        browser.close()
    return wrong


def _wait(page: Page, seconds: float = 60) -> None:
    """Until no chart is loading; charts below the fold begin when the page has grown."""
    page.wait_for_timeout(4000)
    end = time.monotonic() + seconds
    while page.evaluate(LOADING) and time.monotonic() < end:
        page.wait_for_timeout(500)
    page.wait_for_timeout(1500)


if __name__ == "__main__":
    target = Path(sys.argv[3])
    target.mkdir(parents=True, exist_ok=True)
    found = main(sys.argv[1], sys.argv[2], target, tuple(sys.argv[4:]) or NAMES, sys.stdin.readline().strip())
    sys.exit("\n".join(found) or 0)
