"""The list of all rules in docs/reference/quality.md: ``python -m yingshang.quality.catalogue`` writes it.

A test fails when the list and the suites differ.
"""

from pathlib import Path
from typing import Any

from yingshang.contracts import load_contracts
from yingshang.quality.arrivals import arrivals
from yingshang.quality.checks import rule_name
from yingshang.quality.suites import landing_suites, marked_expectations, publish_measures
from yingshang.settings import settings

BEGIN, END = "<!-- rules: begin (generated) -->", "<!-- rules: end -->"


def catalogue() -> str:
    """The tables of rules, in Markdown."""
    common = [_line(one) for one in arrivals()]
    lines = ["### Landing: every dataset", "", *_table(common)]
    for name, expectations in landing_suites(load_contracts()).items():
        own = [line for line in map(_line, expectations) if line not in common]
        lines += ["", f"### Landing: {name}", "", *_table(own)]
    marts: dict[str, list[str]] = {}
    for measure in publish_measures():
        marts.setdefault(measure.name.split(".")[0], []).extend(_line(one) for one in marked_expectations(measure))
    for name, rules in marts.items():
        lines += ["", f"### Publish: {name}", "", *_table(rules)]
    return "\n".join(lines)


def page() -> Path:
    """Where the list stands."""
    return settings().home / "docs" / "reference" / "quality.md"


def renewed(text: str) -> str:
    """``text`` of the page with the list as it should be."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{catalogue()}\n\n{END}{after}"


def _line(expectation: Any) -> str:
    reason = expectation.meta["reason"].replace("|", "\\|")
    return f"| {expectation.meta['severity']} | `{rule_name(expectation.configuration)}` | {reason} |"


def _table(lines: list[str]) -> list[str]:
    return ["| | rule | why |", "| --- | --- | --- |", *sorted(lines, key=lambda line: not line.startswith("| stop"))]


if __name__ == "__main__":
    page().write_text(renewed(page().read_text(encoding="utf-8")), encoding="utf-8")
