"""`yingshang maintenance`: what is past its time goes, what grew loose is tightened."""

from __future__ import annotations

from typing import Annotated

import typer

SHOWN_NOTES = 20


def command(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Remove expired quarantined rows, landed files without a batch and old builds of past nights; VACUUM.

    Nothing that counts is touched, and it can be run at any time. Ends with 1 when a step failed, after the others.
    """
    from rich.console import Console
    from rich.table import Table

    from yingshang.maintenance import maintain

    console = Console(highlight=False, soft_wrap=True)
    with console.status("looking"):
        steps = maintain(dry_run=dry_run)
    table = Table(title="would be done" if dry_run else "done")
    for name in ("step", "what", "due", "done", "MB"):
        table.add_column(name, justify="left" if name in ("step", "what") else "right", no_wrap=True)
    for one in steps:
        size = "" if one.bytes is None else f"{one.bytes / 1e6:,.1f}"
        table.add_row(one.step, one.about or "failed", f"{one.found:,}", f"{one.done:,}", size)
    console.print(table)
    for one in steps:
        for note in one.notes[:SHOWN_NOTES]:
            console.print(f"{one.step}: {note}", markup=False)
        if len(one.notes) > SHOWN_NOTES:
            console.print(f"{one.step}: and {len(one.notes) - SHOWN_NOTES} more")
    failed = [one for one in steps if one.error]
    for one in failed:
        typer.secho(f"error: {one.step}: {one.error}", fg="red", err=True)
    if failed:
        raise typer.Exit(1)
