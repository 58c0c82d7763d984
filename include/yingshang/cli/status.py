"""``yingshang status``: what is published, the last nights, how old each provision is, how good, what waits."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import typer

from yingshang.cli.options import AsJson

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from yingshang.quality.scorecard import SourceLevel
    from yingshang.quality.status import NightStatus, ProvisionStatus, Status

SHANGHAI = ZoneInfo("Asia/Shanghai")
SHOWN_NODES = 30
PIPED_WIDTH = 160
SHOWN_BATCHES = 20


def command(
    nights: int = typer.Option(7, "--nights", min=1, help="How many runs to show."),
    everything: bool = typer.Option(False, "--all", help="Show every provision, not only those behind."),
    as_json: AsJson = False,
) -> None:
    """Show nights, provisions and their ages, and the live publication. Times are Asia/Shanghai."""
    from rich.console import Console

    from yingshang.quality.status import status

    found = status(nights)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), ensure_ascii=False, indent=1, default=_plain))
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    _say_live(console, found)
    console.print(_nights(found.nights))
    console.print(_fleet(found.provisions))
    _say_behind(console, found, everything)
    _say_levels(console, found.levels, everything)
    _say_waiting(console, found)


def _say_live(console: Console, found: Status) -> None:
    live = found.live
    if live is None:
        console.print("published: nothing yet (尚未发布): the first night has not ended. `yingshang night` runs one")
    else:
        console.print(
            f"published: night [bold]{live.night}[/] ({live.kind} {live.publication_id}, build {live.build_id} in"
            f" {live.slot}) on {_time(live.published_at)}"
        )
        for system, nodes in live.missing_nodes.items():
            console.print(f"  missing from it in {system}: {', '.join(nodes)}", soft_wrap=True)
    for slot in found.slots:
        reason = f", {slot.reason}" if slot.reason else ""
        console.print(f"  {slot.slot}: {slot.state}, build {slot.build_id or '-'}, night {slot.night or '-'}{reason}")
    for past in found.past:
        console.print(f"  past night {past.night} is built in {past.schema_name}: {past.outcome or 'unfinished'}")


def _nights(nights: list[NightStatus]) -> Table:
    table = _table("Nights, newest first")
    for name in ("night", "closed", "quorum"):
        table.add_column(name, no_wrap=True)
    for name in ("loaded", "silent", "failed", "admitted", "waiting", "rows", "bad rows", "stop", "warn"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("published", no_wrap=True)
    table.add_column("run", overflow="ellipsis")  # alone gives way: a night or a time cut short says nothing
    for one in nights:
        quorum = {None: "-", True: "met", False: "[red]not met[/]"}[one.is_quorum_met]
        numbers = (
            one.loaded, one.nothing_to_send, one.failed + one.not_provided, one.admitted, one.waiting, one.raw_rows,
            one.quarantined_rows, one.stops, one.warnings,
        )  # fmt: skip
        table.add_row(
            str(one.night), _time(one.closed_at), quorum, *(f"{n:,}" for n in numbers), _time(one.published_at),
            one.run_id,
        )  # fmt: skip
    return table


def _fleet(provisions: list[ProvisionStatus]) -> Table:
    table = _table("Provisions: nights behind the newest run")
    for name in ("system", "level", "connector"):
        table.add_column(name)
    for name in ("all", "current", "1 night", "2-3 nights", "longer", "never", "rows"):
        table.add_column(name, justify="right")
    ages: dict[tuple[str, str, str], Counter[str]] = {}
    for one in provisions:
        group = ages.setdefault((one.system, one.level, one.connector), Counter())
        group["all"] += 1
        group[_age(one.nights_behind)] += 1
        group["rows"] += one.rows
    for key, group in ages.items():
        names = ("all", "current", "1 night", "2-3 nights", "longer", "never", "rows")
        table.add_row(*key, *(f"{group[name]:,}" for name in names))
    return table


def _say_behind(console: Console, found: Status, everything: bool) -> None:
    shown = [one for one in found.provisions if everything or not one.is_current]
    if not shown or found.newest_night is None:
        return
    table = _table("Every provision" if everything else "Behind")
    for name in ("node", "datasets", "last night", "last cursor", "newest run", "why"):
        table.add_column(name)
    owed = Counter((one.system, one.node_code) for one in found.provisions)
    groups: dict[tuple[str, ...], list[ProvisionStatus]] = {}
    for one in shown:
        key = (one.system, one.node_code, str(one.last_night or "never"), one.last_cursor or "-", one.outcome or "-")
        groups.setdefault((*key, one.error or ""), []).append(one)
    if not everything:
        groups = _by_node(groups)
    limit = len(groups) if everything else SHOWN_NODES
    for (system, node_code, *rest), members in list(groups.items())[:limit]:
        names = ", ".join(sorted({one.dataset for one in members}))
        datasets = f"{system}.*" if len(members) == owed[system, node_code] else f"{system}: {names}"
        table.add_row(f"{node_code} {members[0].node_name}", datasets, *rest)
    console.print(table)
    if len(groups) > limit:
        console.print(f"and {len(groups) - limit} more: see --all")


def _by_node(groups: dict[tuple[str, ...], list[ProvisionStatus]]) -> dict[tuple[str, ...], list[ProvisionStatus]]:
    """One line per node, night and outcome: the oldest cursor and the first reason stand for all of its datasets."""
    merged: dict[tuple[str, ...], tuple[list[str], list[str], list[ProvisionStatus]]] = {}
    for (system, node_code, night, cursor, outcome, error), members in groups.items():
        cursors, errors, together = merged.setdefault((system, node_code, night, outcome), ([], [], []))
        cursors.append(cursor)
        errors.append(error)
        together.extend(members)
    return {
        (system, node_code, night, min(cursors), outcome, next(filter(None, errors), "")): members
        for (system, node_code, night, outcome), (cursors, errors, members) in merged.items()
    }


def _say_levels(console: Console, levels: list[SourceLevel], everything: bool) -> None:
    if not levels:
        return
    nodes: dict[str, list[SourceLevel]] = {}
    for one in levels:
        nodes.setdefault(one.node_code, []).append(one)
    counts = Counter(systems[0].node_quality_level for systems in nodes.values())
    spoken = ", ".join(f"{counts[level]} {level}" for level in sorted(counts))
    table = _table(f"Quality of {len(nodes)} nodes as published: {spoken}; worst first")
    for name in ("node", "level", "system", "arrived", "missing since", "rejected", "what keeps it from A"):
        table.add_column(name, justify="right" if name in ("arrived", "rejected") else "left")
    shown = [one for one in levels if everything or one.quality_level != "A"]
    limit = len(shown) if everything else SHOWN_NODES
    for one in shown[:limit]:
        table.add_row(
            f"{one.node_code} {one.node_name}", _level(one), one.system,
            f"{one.arrived_datasets} of {one.datasets}", str(one.missing_since_date or "-"),
            f"{one.reject_rate:.2%}" if one.reject_rate is not None else "-", _why(one),
        )  # fmt: skip
    console.print(table)
    if len(shown) > limit:
        console.print(f"and {len(shown) - limit} more: see --all")


def _level(one: SourceLevel) -> str:
    same = one.quality_level == one.node_quality_level
    return one.quality_level if same else f"{one.quality_level} (node {one.node_quality_level})"


def _why(one: SourceLevel) -> str:
    details = {
        "missing": one.missing_datasets,
        "never arrived": one.missing_datasets,
        "rejects": one.reject_reasons,
        "unknown codes": f"{one.unknown_rate:.2%}" if one.unknown_rate else None,
        "orphans": f"{one.orphan_rate:.2%}" if one.orphan_rate else None,
        "late": f"{one.timeliness_rate:.0%} on time" if one.timeliness_rate is not None else None,
        "contradictory times": str(one.contradictory_records),
        "drift": one.drift,
    }
    named = (one.shortcomings or "").split(", ") if one.shortcomings else []
    if "never arrived" in named:
        named = [name for name in named if name != "missing"]
    return "; ".join(f"{name} ({details[name]})" if details.get(name) else name for name in named) or "-"


def _say_waiting(console: Console, found: Status) -> None:
    waiting = [one for one in found.waiting if one.read_again_by is None]
    if not waiting:
        return
    console.print("\n[bold]Batches without a word[/] (`yingshang gate`, or `gate accept|reject BATCH --reason`)")
    for one in waiting[:SHOWN_BATCHES]:
        console.print(f"  {one.batch_id}: {one.dataset} of {one.node_code}, night {one.night}, {one.raw_rows:,} rows")
        for refusal in one.refusals:
            console.print(f"    refused: {refusal}", soft_wrap=True, markup=False)
    if len(waiting) > SHOWN_BATCHES:
        console.print(f"  and {len(waiting) - SHOWN_BATCHES} more: see --json")


def _table(title: str) -> Table:
    from rich import box
    from rich.table import Table

    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")


def _age(nights_behind: int | None) -> str:
    if nights_behind is None:
        return "never"
    if nights_behind == 0:
        return "current"
    if nights_behind == 1:
        return "1 night"
    return "2-3 nights" if nights_behind <= 3 else "longer"


def _time(at: dt.datetime | None) -> str:
    return f"{at.astimezone(SHANGHAI):%m-%d %H:%M}" if at else "-"


def _plain(value: object) -> str | float:
    if isinstance(value, dt.datetime):
        return value.astimezone(SHANGHAI).isoformat(timespec="seconds")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} in the status")
