"""``yingshang build``: build the marts in the idle slot, or those of a past night in a schema of their own."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated

import typer

from yingshang.cli.options import business_date, date_option
from yingshang.errors import UsageError

LIST = "list"


def command(
    night: Annotated[dt.date | None, date_option("Business date; the newest night of the ledger by default.")] = None,
    full: bool = typer.Option(False, "--full", help="Build from nothing, whatever the slot holds."),
    as_of: Annotated[
        str | None,
        typer.Option(
            parser=lambda text: text if text == LIST else business_date(text).isoformat(),
            metavar=f"YYYY-MM-DD|{LIST}",
            help="A published night: build it as it was then, in its own schema; or list those that are built.",
        ),
    ] = None,
    drop: bool = typer.Option(False, "--drop", help="With --as-of: remove the schema of that night."),
) -> None:
    """Build the idle slot with all that is admitted, and attach it. Readers see nothing of it until `publish`."""
    if as_of:
        if night or full:
            raise UsageError("--as-of goes with --drop only: it is always built in full")
        _past(as_of, drop)
        return
    if drop:
        raise UsageError("--drop goes with --as-of NIGHT")
    from rich.console import Console

    from yingshang import publish

    console = Console(highlight=False, soft_wrap=True)
    asked = night or _newest_night()
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


def _past(as_of: str, drop: bool) -> None:
    from rich.console import Console

    from yingshang import publish

    console = Console(highlight=False, soft_wrap=True)
    if as_of == LIST:
        if drop:
            raise UsageError("--drop needs a night: --as-of yyyy-mm-dd --drop")
        found = publish.list_as_of()
        for one in found:
            console.print(
                f"night {one.night} in {one.schema_name}: {one.outcome or 'unfinished'}, build {one.build_id or '-'},"
                f" events up to {one.to_seq if one.to_seq is not None else '-'}, {one.bytes / 1e6:,.0f} MB"
            )
        if not found:
            console.print("no past night is built: `yingshang build --as-of yyyy-mm-dd`")
        return
    night = dt.date.fromisoformat(as_of)
    if drop:
        publish.drop_as_of(night)
        console.print(f"night {night} is no longer built")
        return
    with console.status(f"building night {night} as it was published"):
        report = publish.build_as_of(night, f"cli:{uuid.uuid4()}")
    if report.warning:
        console.print(f"warning: {report.warning}")
    console.print(
        f"build {report.build_id}: night {night} as publication {report.publication_id} of"
        f" {report.published_at:%Y-%m-%d %H:%M} showed it, events up to {report.to_seq}, {len(report.marts)} marts in"
        f" schema {report.schema}, {report.seconds:.1f} s"
    )
    console.print(f"look at it as warehouse_owner; remove it with: yingshang build --as-of {night} --drop")


def _newest_night() -> dt.date:
    from yingshang.warehouse import session

    with session("publish") as conn:
        row = conn.execute("select max(night) from ops.night_run").fetchone()
    if row is None or row[0] is None:
        raise UsageError("no night has been opened yet: `yingshang ingest` or `yingshang night` does it")
    night: dt.date = row[0]
    return night
