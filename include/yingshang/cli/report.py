"""``yingshang report``: write the report of a night by hand."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from yingshang.cli.options import date_option


def command(
    night: Annotated[dt.date | None, date_option("Business date. Without it: the newest night that was run.")] = None,
    open_it: bool = typer.Option(False, "--open", help="Show it in the web browser."),
) -> None:
    """Write the report of a night anew from the ledger, and print its path. Earlier publications keep theirs."""
    from yingshang.report import write_report
    from yingshang.report.facts import run_of_night

    written = write_report(run_of_night(night))
    typer.echo(f"night {written.night} {written.headline}", err=True)
    if written.kept:
        typer.echo(f"the earlier report of the night is kept as {written.kept}", err=True)
    typer.echo(written.path)
    if open_it:
        typer.launch(written.path.as_uri())
