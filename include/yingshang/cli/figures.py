"""``yingshang figures``: the published figures, and whether the warehouse reproduces them."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING

import typer

from yingshang.cli.options import AsJson

if TYPE_CHECKING:
    from rich.table import Table

    from yingshang.quality.figures import Figure, PublishedFigures

PIPED_WIDTH = 200
SHOWN_NODES = 4
COLORS = {"holds": "green", "differs": "red", "incomplete": "yellow"}


def command(as_json: AsJson = False) -> None:
    """Show the published figures as readers see them. Exit code 1 when one differs; a missing node is no difference."""
    from rich.console import Console

    from yingshang.quality.figures import published_figures

    found = published_figures()
    if as_json:
        typer.echo(json.dumps(found.as_dict(), ensure_ascii=False, indent=1, default=_plain))
    else:
        console = Console(highlight=False)
        if not console.is_terminal:
            console.width = PIPED_WIDTH
        console.print(figures_table(found))
        console.print(summary(found))
    if found.count("differs"):
        raise typer.Exit(1)


def figures_table(found: PublishedFigures, *, brief: bool = False) -> Table:
    """One line per figure; ``brief``: what it is, what it was published as, and whether it holds."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"Published figures, night {found.night} (publication {found.publication_id})",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
    )
    names = ("figure", "published", "rule", "cut-off", "value", "expected", "current", "verdict", "nodes", "age")
    shown = ("figure", "published", "value", "expected", "verdict", "nodes") if brief else (*names, "from")
    for name in names:
        if name not in shown:
            continue
        table.add_column(
            name,
            justify="right" if name in ("published", "value", "expected", "current", "nodes", "age") else "left",
            no_wrap=name != "rule",
        )
    if not brief:
        table.add_column("from")
    for one in found.figures:
        expected = "as published" if one.basis == "published" else _number(one.expected_value)
        age = "-" if one.oldest_contribution_nights is None else f"{one.oldest_contribution_nights} n"
        cells = {
            "figure": one.figure,
            "published": f"{_number(one.published_value)} {one.unit}",
            "rule": one.rule,
            "cut-off": str(one.cut_off_date),
            "value": _number(one.value),
            "expected": expected,
            "current": _number(one.current_value),
            "verdict": _verdict(one),
            "nodes": f"{one.contributing_nodes} of {one.contributing_nodes + one.missing_nodes}",
            "age": age,
            "from": ", ".join(one.marts),
        }
        table.add_row(*(cells[name] for name in shown))
    return table


def summary(found: PublishedFigures) -> str:
    """``22 of 24 figures hold, 1 differs, 1 incomplete``"""
    others = [f"{found.count(verdict)} {verdict}" for verdict in ("differs", "incomplete") if found.count(verdict)]
    simulated = sum(one.basis == "simulated" for one in found.figures)
    basis = f" ({simulated} of them compared with the simulated province's own books)" if simulated else ""
    return ", ".join([f"{found.count('holds')} of {len(found.figures)} figures hold", *others]) + basis


def _verdict(one: Figure) -> str:
    said = f"[{COLORS[one.verdict]}]{one.verdict}[/]"
    if not one.missing_node_codes:
        return f"{said}: no node provides it" if one.verdict == "incomplete" else said
    more = " ..." if len(one.missing_node_codes) > SHOWN_NODES else ""
    return f"{said}: {', '.join(one.missing_node_codes[:SHOWN_NODES])}{more} missing"


def _number(value: Decimal | None) -> str:
    """With thousands separators; a rate with three decimals."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value == value.to_integral_value() else f"{value:,.3f}"


def _plain(value: object) -> str | int | float:
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{type(value).__name__} in the figures")
