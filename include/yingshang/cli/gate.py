"""``yingshang gate``: run the landing gate, or overrule it for one batch."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated

import typer

from yingshang.cli.options import date_option

if TYPE_CHECKING:
    from yingshang.quality import Override

app = typer.Typer()

REASON = typer.Option(..., "--reason", help="Why; kept with the event.")


@app.callback(invoke_without_command=True)
def gate(
    context: typer.Context,
    run: str | None = typer.Option(None, "--run", help="Run to judge; the newest one by default."),
    night: Annotated[dt.date | None, date_option("Judge the newest run of this night.")] = None,
) -> None:
    """Judge the batches of a run that nothing has been said of yet: admit the good ones, refuse the others."""
    if context.invoked_subcommand is not None:
        return
    from rich.console import Console

    from yingshang.quality import run_landing_gate

    Console().print(run_landing_gate(run or _newest_run(night)), soft_wrap=True)


@app.command()
def accept(batch: int = typer.Argument(help="Number of the batch."), reason: str = REASON) -> None:
    """Admit a batch that the gate refused (or that was withdrawn). The next build takes it in."""
    from yingshang.quality import override

    _say(override(batch, "accept", reason=reason))


@app.command()
def reject(batch: int = typer.Argument(help="Number of the batch."), reason: str = REASON) -> None:
    """Withdraw a batch. The next build leaves it out, and shows the versions that it had replaced."""
    from yingshang.quality import override

    _say(override(batch, "reject", reason=reason))


def _say(done: Override) -> None:
    typer.echo(f"batch {done.batch_id} ({done.dataset} of {done.node_code}): {done.event}; the next build takes it in")
    for batch_id in done.superseded:
        typer.echo(f"batch {batch_id}, whose place it takes: superseded")
    if done.hint:
        typer.echo(done.hint)


def _newest_run(night: dt.date | None) -> str:
    from yingshang.errors import UsageError
    from yingshang.warehouse import ledger, session

    with session("ingest") as connection:
        found = ledger.recent_nights(connection, 1000 if night else 1)
    for run in found:
        if night in (None, run.night):
            return run.run_id
    raise UsageError(f"no run of night {night}" if night else "no night has been run yet")
