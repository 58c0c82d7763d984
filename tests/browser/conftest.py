"""One small province for the whole suite: two nights through a real Airflow, one with a node down, and Superset."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from tests.support.demo import Demo, running_demo

from bi.pictures import chromium, log_in
from localpg import free_port

DOWN = "210202"
PICTURES = Path(__file__).resolve().parents[2] / ".state" / "pictures"
Picture = Callable[[Page, str], None]


@dataclass(frozen=True)
class Stage:
    """What a browser can be sent to. ``run_id``: the run of the night in which the node :data:`DOWN` was down."""

    demo: Demo
    run_id: str
    superset: str
    users: dict[str, str]


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with running_demo(tmp_path_factory.mktemp("browser")) as demo, pytest.MonkeyPatch.context() as patch:
        patch.setenv("YINGSHANG_BI_PORT", str(port := free_port()))
        _night(demo)
        with _bi() as superset:  # it imports the dashboards while the second night runs
            demo.province.node_down(DOWN)
            _night(demo)
            words, _ = superset.communicate(timeout=600)
            assert superset.returncode == 0, words
        runs = demo.airflow.call("GET", "/api/v2/dags/nightly/dagRuns?order_by=-run_after&limit=1")["dag_runs"]
        users = json.loads((demo.layout.state / "bi" / "passwords.json").read_text(encoding="utf-8"))
        yield Stage(demo, runs[0]["dag_run_id"], f"http://127.0.0.1:{port}", users)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def page_of(browser: Browser, stage: Stage) -> Callable[[str], Page]:
    """Superset's pages of a user, logged in once."""
    pages: dict[str, Page] = {}

    def of(user: str) -> Page:
        if user not in pages:
            pages[user] = log_in(browser, stage.superset, user, stage.users[user])
        return pages[user]

    return of


@pytest.fixture(scope="session")
def picture() -> Picture:
    """Keeps a picture of the window in .state/pictures, for a person to look at."""
    shutil.rmtree(PICTURES, ignore_errors=True)
    PICTURES.mkdir(parents=True)
    return lambda page, name: page.screenshot(path=PICTURES / f"{name}.png") and None


def _night(demo: Demo) -> None:
    done = demo.command("run", "--profile", "tiny", "--nights", "1")
    assert done.returncode == 0, done.stdout + done.stderr


def _bi() -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bi", "run"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ)
