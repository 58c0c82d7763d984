"""`yingshang ingest`: read nodes into raw by hand. Nothing is admitted: that is the landing gate's word."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Annotated

import typer

from yingshang.cli.options import Nodes, System, date_option
from yingshang.errors import UsageError, YingshangError

if TYPE_CHECKING:
    from yingshang.ingest import NodeReport


def command(
    system: System,
    night: Annotated[dt.date, date_option("Business date.")],
    node: Nodes = None,
    run_id: Annotated[str, typer.Option(help="Go on with this run: what it has loaded is not read again.")] = "",
) -> None:
    """Read, check, land and load what nodes provide of a system in a night.

    A node that fails costs its own provisions only. Ends with 1 when one failed, after all others were read.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from yingshang import ingest

    run = run_id or f"cli:{uuid.uuid4()}"
    opened = ingest.open_night(night, run)
    levels = opened.nodes.get(system)
    nodes = node or [code for codes in (levels or {}).values() for code in codes]
    if not nodes:
        raise UsageError(f"no node provides anything of the system {system!r} in the night {night}")
    console = Console()
    reports: list[NodeReport] = []
    failures: list[YingshangError] = []
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        for code in nodes:
            bar = progress.add_task(f"{system} of {code}", rows=0, total=None)
            read = 0

            def show(dataset: str, rows: int, *, bar=bar, code=code) -> None:  # type: ignore[no-untyped-def]
                nonlocal read
                read += rows
                progress.update(bar, description=f"{system}.{dataset} of {code}", rows=read)

            try:
                reports.append(ingest.ingest_node(system, code, run, on_progress=show))
            except YingshangError as error:
                failures.append(error)
            progress.remove_task(bar)
    if len(reports) <= 3:
        for report in reports:
            console.print(_table(report))
    total = [sum(getattr(one, name) for one in reports) for name in ("source_rows", "raw_rows")]
    console.print(
        f"run {run}: {len(reports)} of {len(nodes)} nodes complete, {total[0]:,} rows read, {total[1]:,} loaded. "
        f"Judge them with: yingshang gate --run {run}",
        highlight=False,
        soft_wrap=True,
    )
    if failures:
        kind = type(failures[0])
        raise kind("\n".join(str(failure) for failure in failures))


def _table(report: NodeReport) -> object:
    from rich.table import Table

    table = Table(title=f"{report.system} of {report.node_code}, night {report.night}")
    for name in ("dataset", "outcome", "batches", "read", "loaded", "quarantined", "duplicates"):
        table.add_column(name, justify="left" if name in ("dataset", "outcome") else "right", no_wrap=name == "outcome")
    for one in report.datasets:
        counts = (one.source_rows, one.raw_rows, one.quarantined_rows, one.duplicate_rows)
        outcome = f"{one.outcome} (before)" if one.is_repeat else one.outcome
        table.add_row(one.dataset, outcome, str(len(one.batch_ids)), *(f"{count:,}" for count in counts))
    return table
