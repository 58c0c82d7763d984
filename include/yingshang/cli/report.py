"""``yingshang report``: write the report of a night by hand."""

from __future__ import annotations

import datetime as dt

import typer

from yingshang.errors import UsageError


def command(
    night: str = typer.Option(
        "", "--night", help="Business date, yyyy-mm-dd. Without it: the newest night that was run."
    ),
    open_it: bool = typer.Option(False, "--open", help="Show it in the web browser."),
) -> None:
    """Write the report of a night anew from the ledger, and print its path. Earlier publications keep theirs."""
    from yingshang.report import write_report
    from yingshang.report.facts import run_of_night

    written = write_report(run_of_night(_date(night)))
    typer.echo(f"night {written.night} {written.headline}", err=True)
    if written.kept:
        typer.echo(f"the earlier report of the night is kept as {written.kept}", err=True)
    typer.echo(written.path)
    if open_it:
        typer.launch(written.path.as_uri())


def _date(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError as error:
        raise UsageError(f"--night {text!r} is not a date: write yyyy-mm-dd") from error
