"""`yingshang night`: one whole night by hand, the steps of the DAG `nightly` in their order, without Airflow."""

from __future__ import annotations

import datetime as dt
import uuid
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from yingshang.cli.options import date_option
from yingshang.errors import YingshangError

console = Console()


def command(
    night: Annotated[dt.date, date_option("business date")],
    parallel: int = typer.Option(4, min=1, max=32, help="nodes read at once"),
    full: bool = typer.Option(False, "--full", help="build the marts from nothing"),
) -> None:
    """Read every node, admit, build, audit and publish one night. A node that fails costs its own provisions only."""
    from yingshang import ingest, publish, quality, report
    from yingshang.warehouse.access import keep_access

    keep_access()
    run_id = f"cli:{uuid.uuid4()}"
    opened = ingest.open_night(night, run_id)
    tasks = [(system, node) for system, levels in opened.nodes.items() for codes in levels.values() for node in codes]
    failures: list[str] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor(parallel) as pool:
        bar = progress.add_task(f"night {night}: nodes", total=len(tasks))
        waiting = {pool.submit(ingest.ingest_node, system, node, run_id): (system, node) for system, node in tasks}
        for done in as_completed(waiting):
            progress.advance(bar)
            error = done.exception()
            if error is None:
                continue
            if not isinstance(error, YingshangError):
                raise error
            failures.append(str(error))
    for failure in failures:
        console.print(f"[yellow]not provided:[/] {failure}", highlight=False, soft_wrap=True)
    try:
        ingest.close_night(run_id)
        console.print(quality.run_landing_gate(run_id))
        built = publish.build(night, run_id, full=full)
        if built.build_id is None:
            console.print(built.reason)
        else:
            publish.audit(built.build_id)
            publication = publish.publish(built.build_id, run_id)
            console.print(f"published night {publication.night} as publication {publication.publication_id}")
    except YingshangError:
        try:
            console.print(f"report: {report.write_report(run_id).path}", soft_wrap=True)
        except YingshangError as error:
            console.print(f"[yellow]no report:[/] {error}", highlight=False, soft_wrap=True)
        raise
    console.print(f"report: {report.write_report(run_id, publish.announce(run_id)).path}", soft_wrap=True)
