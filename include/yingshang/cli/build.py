"""``yingshang build``: build the marts in the idle slot."""

from __future__ import annotations

import datetime as dt
import uuid

import typer

from yingshang.errors import UsageError


def command(
    night: str = typer.Option("", help="Business date, yyyy-mm-dd; the newest night of the ledger by default."),
    full: bool = typer.Option(False, "--full", help="Build from nothing, whatever the slot holds."),
) -> None:
    """Build the idle slot with all that is admitted, and attach it. Readers see nothing of it until `publish`."""
    from rich.console import Console

    from yingshang import publish

    console = Console(highlight=False, soft_wrap=True)
    asked = _date(night) if night else _newest_night()
    with console.status(f"building night {asked}"):
        report = publish.build(asked, f"cli:{uuid.uuid4()}", full=full)
    if report.build_id is None:
        console.print(report.reason)
        return
    why = f" ({report.reason})" if report.reason else ""
    console.print(
        f"build {report.build_id}: {report.kind}{why} in {report.slot}, events {report.from_seq} to {report.to_seq},"
        f" {len(report.marts)} marts, {report.nodes} dbt nodes, {report.seconds:.1f} s"
        + (f", {report.waited_seconds:.1f} s of it waiting for readers" if report.waited_seconds >= 0.1 else "")
    )
    if report.rebuilt and report.kind != "full":
        console.print(f"rebuilt in full, because the code has changed: {', '.join(report.rebuilt)}")
    console.print(f"next: yingshang audit {report.build_id} && yingshang publish {report.build_id}")


def _date(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--night {text!r} is not a date: write yyyy-mm-dd") from error


def _newest_night() -> dt.date:
    from yingshang.warehouse import session

    with session("publish") as conn:
        row = conn.execute("select max(night) from ops.night_run").fetchone()
    if row is None or row[0] is None:
        raise UsageError("no night has been opened yet: `yingshang ingest` or `yingshang night` does it")
    night: dt.date = row[0]
    return night
