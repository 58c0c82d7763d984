"""`yingshang reload`: read any nodes, datasets and nights again, and judge what came."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Annotated

import typer

from yingshang.cli.options import Datasets, Nodes, System, date_option
from yingshang.errors import UsageError, YingshangError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from yingshang.ingest.reload import PlannedRead

SHOWN_READS = 200
LEAST_WIDTH = 140


def command(
    system: System,
    night: Annotated[dt.date | None, date_option("Business date.")] = None,
    first: Annotated[dt.date | None, date_option("First night of a range.", "--from")] = None,
    last: Annotated[dt.date | None, date_option("Last night of a range.", "--to")] = None,
    dataset: Datasets = None,
    node: Nodes = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="What is read takes the place of what was read before, once admitted.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be read.")] = False,
    run_id: Annotated[str, typer.Option(help="Go on with this reload: what it has loaded is not read again.")] = "",
) -> None:
    """Read nights again, and run the landing gate on what came. Look at --dry-run first.

    Without --replace what is read is added: identical rows collapse, and rows that the source has changed since stand
    beside the old ones. A drop that is read again always supersedes itself. The next build takes it all in.
    """
    from rich.console import Console

    from yingshang.ingest.reload import plan_reload

    nights = _nights(night, first, last)
    console = Console(highlight=False, soft_wrap=True)
    plan = plan_reload(system, nights, datasets=dataset or (), nodes=node or (), is_replacement=replace)
    if dry_run:
        _say_plan(console, plan)
        return
    base = run_id or f"reload:{uuid.uuid4()}"
    console.print(f"reload {base}: after a break, go on with --run-id {base}")
    failures: list[YingshangError] = []
    for one in nights:
        failures += _reload_night(console, base, one, [read for read in plan if read.night == one], replace)
    if failures:
        raise type(failures[0])("\n".join(str(failure) for failure in failures))


def _reload_night(
    console: Console, base: str, night: dt.date, plan: Sequence[PlannedRead], replace: bool
) -> list[YingshangError]:
    """Read and judge one night. Returns what failed."""
    from yingshang import ingest
    from yingshang.ingest.reload import run_of
    from yingshang.quality import run_landing_gate

    if not plan:
        return []
    run = run_of(base, night)
    ingest.open_night(night, run)
    failures: list[YingshangError] = []
    rows = 0
    nodes = dict.fromkeys((one.system, one.node_code) for one in plan)
    for number, (system, code) in enumerate(nodes, start=1):
        again = ingest.Again(frozenset(one.dataset for one in plan if one.node_code == code), replace)
        try:
            with console.status(f"night {night}: {system} of {code}, {number} of {len(nodes)} nodes"):
                rows += ingest.ingest_node(system, code, run, again=again).raw_rows
        except YingshangError as error:
            failures.append(error)
    console.print(f"night {night}: {len(nodes) - len(failures)} of {len(nodes)} nodes complete, {rows:,} rows loaded")
    console.print(run_landing_gate(run))
    return failures


def _say_plan(console: Console, plan: Sequence[PlannedRead]) -> None:
    from rich.table import Table

    table = Table(title=f"would be read: {len(plan)} provisions and nights")
    for name in ("night", "node", "dataset", "what", "loaded rows", "batches superseded"):
        table.add_column(name, justify="right" if name == "loaded rows" else "left", overflow="fold")
    for one in plan[:SHOWN_READS]:
        replaced = ", ".join(map(str, one.replaces))
        table.add_row(
            str(one.night), one.node_code, f"{one.system}.{one.dataset}", str(one), f"{one.loaded_rows:,}", replaced
        )
    console.width = max(console.width, LEAST_WIDTH)
    console.print(table)
    if len(plan) > SHOWN_READS:
        console.print(f"and {len(plan) - SHOWN_READS} more")
    console.print("nothing was read: run it again without --dry-run")


def _nights(night: dt.date | None, first: dt.date | None, last: dt.date | None) -> list[dt.date]:
    from yingshang.ingest.reload import nights_between

    if night and not first and not last:
        return [night]
    if first and last and not night:
        return nights_between(first, last)
    raise UsageError("give --night, or --from and --to")
