"""``yingshang export``: open data from the published marts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from yingshang.errors import UsageError

if TYPE_CHECKING:
    from yingshang.export.snapshot import Publication

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
OUTPUT = typer.Option(..., "--output", "-o", help="Folder to make; it appears as a whole or not at all.")
MARTS = typer.Option([], "--mart", help="Only this mart; may be given again. Without it: all public ones.")
INDUSTRIES = typer.Option([], "--industry", help="01, 02 or 10; may be given again. Without it: all three.")
OVERWRITE = typer.Option(False, "--overwrite", help="Replace an earlier export in that folder.")
MINUTES = typer.Option(30, "--minutes", min=1, max=600, help="How long it may read. A publication in between ends it.")


@app.command("tables")
def tables(
    output: Path = OUTPUT,
    mart: list[str] = MARTS,
    only: str = typer.Option("", "--format", help="Only csv, or only parquet. Without it: both."),
    internal: bool = typer.Option(
        False, "--internal", help="Also internal marts. They are no open data: keep them in."
    ),
    overwrite: bool = OVERWRITE,
    minutes: int = MINUTES,
) -> None:
    """Write published marts as CSV and Parquet with a Frictionless data package (datapackage.json).

    Only marts that are public are written, all from one snapshot of one publication, whose id stands in the package
    and in each Parquet file. A text in CSV that a spreadsheet would take for a formula has an apostrophe before it.
    """
    from yingshang.export.tables import FORMATS, export_tables

    formats = [one for one in FORMATS if one == only or not only]
    if not formats:
        raise UsageError(f"--format {only}: it is one of {', '.join(FORMATS)}")
    if internal:
        typer.echo("warning: with --internal the folder holds internal marts: it is no open data", err=True)
    with _progress("rows") as progress:
        report = export_tables(
            output,
            marts=mart,
            formats=formats,
            internal=internal,
            overwrite=overwrite,
            time_limit=dt.timedelta(minutes=minutes),
            progress=progress,
        )
    rows = sum(one.rows for one in report.tables)
    size = sum(sum(one.files.values()) for one in report.tables)
    if empty := [one.mart for one in report.tables if not one.rows]:
        typer.echo(f"note: no row is published of {', '.join(empty)} (无数据): their files have a head only", err=True)
    typer.echo(
        f"{rows:,} rows of {len(report.tables)} marts, {size / 1e6:,.1f} MB, {_said(report.publication)}", err=True
    )
    typer.echo(report.output)


@app.command("ocds")
def ocds(
    output: Path = OUTPUT,
    industry: list[str] = INDUSTRIES,
    prefix: str = typer.Option(
        "", "--prefix", help="Your registered ocid prefix. Without it: one that is not registered."
    ),
    publisher: str = typer.Option("", "--publisher", help="Name of the publisher of the packages."),
    base_uri: str = typer.Option(
        "", "--base-uri", help="URI of the packages; {publication} stands for the publication."
    ),
    overwrite: bool = OVERWRITE,
    minutes: int = MINUTES,
) -> None:
    """Write public procurement as OCDS 1.1 release packages: <industry>/<month>.json and manifest.json.

    One contracting process per lot of industries 01, 02 and 10, all from one snapshot of one publication.
    """
    from yingshang.export.ocds import BASE_URI, PREFIX, PUBLISHER, export_ocds

    with _progress("lots") as progress:
        report = export_ocds(
            output,
            industries=industry,
            prefix=prefix or PREFIX,
            publisher=publisher or PUBLISHER,
            base_uri=base_uri or BASE_URI,
            overwrite=overwrite,
            time_limit=dt.timedelta(minutes=minutes),
            progress=progress,
        )
    for why, number in report.left_out.items():
        typer.echo(f"left out: {number:,} lots {why}", err=True)
    if not report.packages:
        typer.echo("note: no lot of these industries is published that has a release (无数据)", err=True)
    typer.echo(
        f"{report.releases:,} releases of {report.processes:,} contracting processes in {len(report.packages)}"
        f" packages, {_said(report.publication)}",
        err=True,
    )
    if not prefix:
        typer.echo(f"note: the ocid prefix {PREFIX} is not registered: give your own with --prefix", err=True)
    typer.echo(report.output)


def _said(publication: Publication) -> str:
    missing = "; ".join(f"{system} of {', '.join(nodes)}" for system, nodes in publication.missing_nodes.items())
    gaps = f", incomplete 不完整: missing {missing}" if missing else ""
    return f"publication {publication.publication_id} of night {publication.night}{gaps}"


@contextmanager
def _progress(unit: str) -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr, shown on a terminal only."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,} " + unit),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bars: dict[str, int] = {}

        def told(name: str, done: int, about: int) -> None:
            bar = bars.setdefault(name, len(bars))
            if bar == len(progress.tasks):
                progress.add_task(name, total=about)
            progress.update(progress.tasks[bar].id, completed=done, total=max(done, about))

        yield told
