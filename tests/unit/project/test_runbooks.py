"""Runbooks: a page for each kind of alert, and nothing in them that a reader types in vain."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from yingshang.alerts import KINDS
from yingshang.cli.app import COMMANDS, root_app
from yingshang.settings import PROJECT_ROOT

RUNBOOKS = PROJECT_ROOT / "docs" / "runbooks"
PAGES = sorted(RUNBOOKS.glob("*.md"))
PARTS = ("## What it means", "## How to see", "## What to do", "## How to know it is over")
COMMAND = re.compile(r"(?:`|^    |\s{2,})yingshang ((?:--debug )?[a-z-]+(?: [^`\n]*)?)", re.MULTILINE)


def test_every_kind_has_a_page_with_its_four_parts_and_the_index_lists_each() -> None:
    index = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    assert {page.stem for page in PAGES} == {*KINDS, "README"}
    for kind in KINDS.values():
        text = (PROJECT_ROOT / kind.runbook).read_text(encoding="utf-8")
        assert re.findall("^## .*", text, re.MULTILINE) == list(PARTS), kind.name
        assert f"({kind.name}.md)" in index


def wrong(command: str) -> str | None:
    """What of a command line does not exist, if anything."""
    words = [word for word in command.split() if word != "--debug"]
    if not words or words[0].startswith("-"):
        return None
    if words[0] not in COMMANDS:
        return words[0]
    app: Any = typer.main.get_command(root_app(words))
    found = app.commands[words[0]]
    if hasattr(found, "commands") and len(words) > 1 and words[1].isalpha():
        if words[1] not in found.commands:
            return words[1]
        found = found.commands[words[1]]
    known = {name for parameter in found.params for name in parameter.opts}
    return next((word for word in words if word.startswith("--") and word not in known), None)


@pytest.mark.parametrize("page", [*PAGES, PROJECT_ROOT / "docs" / "how-to" / "alerts.md"], ids=lambda page: page.stem)
def test_every_command_on_a_page_exists(page: Path) -> None:
    commands = COMMAND.findall(page.read_text(encoding="utf-8"))
    assert [(command, wrong(command)) for command in commands if wrong(command)] == []
    assert commands


@pytest.mark.parametrize(
    ("command", "told"),
    [("gate accept 4711 --because x", "--because"), ("mend --node 210100", "mend"), ("gate allow 1", "allow")],
)
def test_a_command_that_does_not_exist_is_seen(command: str, told: str) -> None:
    assert COMMAND.findall(f"see `yingshang {command}`") == [command]
    assert wrong(command) == told
