"""The report as one self-contained HTML page: no script, no outside style, font or picture."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from typing import TypeVar
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from yingshang.report import charts
from yingshang.report.model import NightFacts

T = TypeVar("T")
SHANGHAI = ZoneInfo("Asia/Shanghai")
LONGEST_MESSAGE = 600
SHOWN_ROWS = 100
"""Rows of a table; what is left out is counted, with the command that shows it."""


def night_page(facts: NightFacts) -> str:
    """The HTML of a night's report."""
    return _environment().get_template("night.html.j2").render(
        facts=facts,
        headline=headline(facts),
        arrivals_chart=_drawn(charts.arrivals_chart, facts.arrivals),
        rows_chart=_drawn(charts.rows_chart, facts.rows_by_night if len(facts.rows_by_night) > 1 else ()),
        levels_chart=_drawn(charts.levels_chart, facts.summary.levels if facts.summary else ()),
        shown=SHOWN_ROWS,
        mark=mark(facts),
    )  # fmt: skip


def index_page(entries: Sequence[object]) -> str:
    """The HTML of the list of reports, newest night first."""
    return _environment().get_template("index.html.j2").render(entries=entries)


def headline(facts: NightFacts) -> str:
    """The night in a sentence."""
    arrived = sum(one.loaded + one.silent for one in facts.arrivals)
    owed = sum(one.owed for one in facts.arrivals)
    came = f"{arrived:,} of {owed:,} provisions arrived" if owed else "nothing arrived"
    if facts.publication is None:
        return f"not published: {facts.why_unpublished}"
    figures = facts.summary.figures if facts.summary else ()
    held = f", {sum(one.verdict == 'holds' for one in figures)} of {len(figures)} figures hold" if figures else ""
    incomplete = sum(one.verdict == "incomplete" for one in figures)
    held += f", {incomplete} incomplete" if incomplete else ""
    return f"published as publication {facts.publication.publication_id}: {came}{held}"


def mark(facts: NightFacts) -> str:
    """What the archive reads back of a page: night, publication and headline, as JSON."""
    return json.dumps(
        {
            "night": facts.run.night.isoformat(),
            "run": facts.run.run_id,
            "publication": facts.publication.publication_id if facts.publication else None,
            "written": facts.read_at.astimezone(SHANGHAI).isoformat(timespec="seconds"),
            "headline": headline(facts),
        },
        ensure_ascii=False,
    )


def _drawn(chart: Callable[[Sequence[T]], str], values: Sequence[T]) -> Markup | None:
    """The chart of the values; None where there is nothing to draw."""
    return Markup(chart(values)) if values else None  # noqa: S704 - SVG whose text vl-convert has escaped


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("yingshang.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": _number,
        "time": _time,
        "brief": _brief,
        "signed": lambda value: f"{value:+,}",
        "share": lambda part, whole: f"{part / whole:.2%}" if whole else "–",
    }
    return environment


def _number(value: Decimal | int | None) -> str:
    """With thousands separators; a rate with three decimals."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.3f}"


def _time(at: dt.datetime | None) -> str:
    return f"{at.astimezone(SHANGHAI):%Y-%m-%d %H:%M}" if at else "–"


def _brief(text: str) -> str:
    """One line, cut at :data:`LONGEST_MESSAGE` characters."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_MESSAGE else f"{line[:LONGEST_MESSAGE]} …"
