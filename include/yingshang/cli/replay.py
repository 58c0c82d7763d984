"""`yingshang replay`: load quarantined rows after the contract or the source has been mended."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated

import typer

from yingshang.cli.options import date_option
from yingshang.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from yingshang.ingest.replay import ReplayReport

SHOWN_REASONS = 5
LEAST_WIDTH = 140


def command(
    batch: Annotated[
        list[int] | None, typer.Option(help="Number of a batch with quarantined rows; may be repeated.")
    ] = None,
    system: Annotated[str | None, typer.Option(help="Source system, such as trading.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Dataset, such as lot or trading.lot.")] = None,
    node: Annotated[str | None, typer.Option(help="6-digit code of a node.")] = None,
    night: Annotated[dt.date | None, date_option("Business date of the batches.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be loaded.")] = False,
) -> None:
    """Check quarantined rows against today's contract, load those that keep it, and run the landing gate on them.

    Rows that still fail stay in quarantine. Only rows of admitted batches are replayed; replaying again loads nothing
    twice. The next build takes in what the gate admits.
    """
    from rich.console import Console

    from yingshang.ingest.replay import Selection, replay, require_some

    if dataset and "." in dataset:
        of, _, dataset = dataset.partition(".")
        if system not in (None, of):
            raise UsageError(f"--dataset {of}.{dataset} is none of the system {system}")
        system = of
    selection = Selection(tuple(batch or ()), system, dataset, node, night)
    require_some(selection)
    console = Console(highlight=False, soft_wrap=True)
    with console.status("replaying"):
        report = replay(selection, dry_run=dry_run)
    _say(console, report, dry_run)
    if dry_run:
        console.print("nothing was loaded: run it again without --dry-run")
        return
    from yingshang.quality import run_landing_gate

    for run_id in report.runs:
        console.print(run_landing_gate(run_id))


def _say(console: Console, report: ReplayReport, dry_run: bool) -> None:
    from rich.table import Table

    if not report.batches:
        console.print("no batch has quarantined rows of this kind")
    else:
        console.width = max(console.width, LEAST_WIDTH)
        table = Table()
        verb = "would load" if dry_run else "loaded"
        for name in ("batch", "dataset", "node", "night", "quarantined", "before", verb, "still bad", "expired", "as"):
            table.add_column(name, justify="left" if name in ("dataset", "node", "night") else "right", no_wrap=True)
        for one in report.batches:
            counts = (one.quarantined, one.before, one.passed, one.failing, one.expired)
            shown = [f"{count:,}" for count in counts]
            table.add_row(
                str(one.batch_id), one.dataset, one.node_code, str(one.night), *shown, str(one.replay_id or "")
            )
        console.print(table)
    for one in report.batches:
        if one.skipped:
            console.print(f"batch {one.batch_id}: left alone, {one.skipped}")
        for reason, rows in one.reasons[:SHOWN_REASONS]:
            console.print(f"batch {one.batch_id}: still {reason} ({rows:,} rows)", markup=False)
        if one.expired:
            console.print(
                f"batch {one.batch_id}: the payload of {one.expired:,} rows has expired; read the night again"
                f" (yingshang reload) if the source still has them"
            )
    if report.samples:
        console.print(
            f"{report.samples:,} quarantined rows are samples of batches that failed as a whole: they are not replayed,"
            " their night is to be read again (yingshang reload)"
        )
