"""`yingshang reconcile`: find what the nights could not see, and repair it."""

from __future__ import annotations

import dataclasses
import json
import uuid
from typing import TYPE_CHECKING, Annotated

import typer

from yingshang.cli.options import AsJson, Datasets, Nodes, System
from yingshang.errors import UsageError, YingshangError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console
    from rich.status import Status

    from yingshang.ingest.reconcile import Acceptance, NodeComparison
    from yingshang.warehouse.reconciliations import Reconciliation

STANDING = 3
"""Exit code when differences stand: a dry run found some, deletions are blocked, or the gate refused a repair."""
LEAST_WIDTH = 150


def command(
    system: System = "",
    node: Nodes = None,
    dataset: Datasets = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare, and write nothing.")] = False,
    accept_deletes: Annotated[
        int | None, typer.Option(help="Close the rows that this blocked comparison found gone; see --list.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why they may be closed; kept with the comparison.")] = "",
    listed: Annotated[bool, typer.Option("--list", help="Only list the comparisons that wait for a word.")] = False,
    run_id: Annotated[str, typer.Option(help="Go on with this run: what it has compared is not compared again.")] = "",
    as_json: AsJson = False,
) -> None:
    """Compare what is visible here with what the sources have now, and repair it. Look at --dry-run first.

    Found are rows that were back-dated outside the overlap, changed without their cursor, or deleted at the source.
    Each provision that differs gets one batch, which the landing gate judges. Where more is gone than the limits allow,
    nothing of the provision is changed and you are asked. Ends with 0 when nothing differs or all is repaired, 1 when a
    source could not be compared, 2 for wrong use, 3 when differences stand.
    """
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True, stderr=as_json)
    if listed:
        _list(console, as_json)
        return
    accept, targets, datasets = _targets(system, node or (), dataset or (), accept_deletes, reason)
    base = run_id or f"reconcile:{uuid.uuid4()}"
    if not dry_run:
        console.print(f"{base}: after a break, go on with --run-id {base}")
    reports: list[NodeComparison] = []
    failures: list[YingshangError] = []
    for one in _compared(console, targets, base, datasets, dry_run, accept):
        if isinstance(one, YingshangError):
            failures.append(one)
        else:
            reports.append(one)
    refused = 0 if dry_run else _judge(console, base)
    found = [record for report in reports for record in report.compared]
    if as_json:
        typer.echo(_json(base, reports, failures, refused))
    else:
        _say(console, reports, dry_run)
    if failures:
        raise type(failures[0])("\n".join(str(failure) for failure in failures))
    is_standing = any(one.outcome == "blocked" or (dry_run and one.differences) for one in found)
    if is_standing or refused:
        raise typer.Exit(STANDING)


def _targets(
    system: str, nodes: Sequence[str], datasets: Sequence[str], accept_deletes: int | None, reason: str
) -> tuple[Acceptance | None, list[tuple[str, str]], Sequence[str]]:
    """What a person has said, (system, node) pairs, and datasets."""
    from yingshang.ingest.reconcile import acceptance, nodes_to_compare

    if accept_deletes is not None:
        if system or nodes or datasets:
            raise UsageError("--accept-deletes names its provision: leave --system, --node and --dataset out")
        blocked, accept = acceptance(accept_deletes, reason=reason)
        return accept, [(blocked.system, blocked.node_code)], [blocked.dataset]
    if reason:
        raise UsageError("--reason belongs to --accept-deletes")
    if not system:
        raise UsageError("say which --system")
    return None, [(system, one.node_code) for one in nodes_to_compare(system, nodes, datasets)], datasets


def _compared(
    console: Console,
    targets: Sequence[tuple[str, str]],
    base: str,
    datasets: Sequence[str],
    dry_run: bool,
    accept: Acceptance | None,
) -> Iterator[NodeComparison | YingshangError]:
    from yingshang.ingest.reconcile import reconcile_node

    for number, (system, code) in enumerate(targets, start=1):
        where = f"{system} of {code}, {number} of {len(targets)} nodes"
        with console.status(where) as status:

            def say(dataset: str, status: Status = status, where: str = where) -> None:
                status.update(f"{where}: {dataset}")

            try:
                yield reconcile_node(
                    system, code, base, datasets=datasets, dry_run=dry_run, accept=accept, on_progress=say
                )
            except UsageError:
                raise
            except YingshangError as error:
                yield error


def _judge(console: Console, base: str) -> int:
    """Run the landing gate on the repairs. Returns how many it refused."""
    from yingshang.ingest.reconcile import unjudged_runs
    from yingshang.quality import run_landing_gate

    refused = 0
    for run in unjudged_runs(base):
        report = run_landing_gate(run)
        refused += len(report.refused)
        console.print(report)
    return refused


def _say(console: Console, reports: Sequence[NodeComparison], dry_run: bool) -> None:
    from rich.table import Table

    from yingshang.ingest.reconcile import question

    found = [record for report in reports for record in report.compared]
    shown = [one for one in found if one.differences or one.rejected_rows or one.notes or one.unverified_rows]
    if shown:
        table = Table()
        for name in ("node", "dataset", "how", "there", "here", "lost", "changed", "deleted", "rejected", "moved"):
            table.add_column(name, justify="left" if name in ("node", "dataset", "how") else "right")
        table.add_column("outcome", overflow="fold")
        for one in shown:
            table.add_row(
                one.node_code, f"{one.system}.{one.dataset}", one.method,
                *(f"{value:,}" for value in (one.source_rows, one.warehouse_rows, one.lost_rows, one.changed_rows,
                                            one.deleted_rows, one.rejected_rows)),
                f"{one.bytes_moved:,}", _outcome(one, dry_run),
            )  # fmt: skip
        console.width = max(console.width, LEAST_WIDTH)
        console.print(table)
    for one in shown:
        for note in one.notes:
            console.print(f"{one.name}: {note}")
    unread = sum(len(report.unread) for report in reports)
    moved, full = sum(one.bytes_moved for one in found), sum(one.bytes_full for one in found)
    same = sum(not one.differences for one in found)
    console.print(
        f"{len(found)} provisions compared, {same} are the same"
        + (f", {unread} have never been read" if unread else "")
        + f"; {moved:,} bytes moved, {full:,} would be a full re-read"
    )
    if dry_run and same < len(found):
        console.print("nothing was changed: run it again without --dry-run")
    for one in found:
        if one.outcome == "blocked":
            console.print(question(one))


def _outcome(one: Reconciliation, dry_run: bool) -> str:
    if one.outcome == "repaired":
        return f"repaired by batch {one.batch_id}"
    if one.outcome == "same" and one.differences:
        return "differs" if dry_run else "left"
    return one.outcome


def _list(console: Console, as_json: bool) -> None:
    from yingshang.ingest.reconcile import question
    from yingshang.warehouse import session
    from yingshang.warehouse.reconciliations import blocked_reconciliations

    with session("ingest") as connection:
        waiting = blocked_reconciliations(connection)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(one) for one in waiting], ensure_ascii=False, indent=1, default=str))
        return
    for one in waiting:
        console.print(f"{one.finished_at:%Y-%m-%d %H:%M} {question(one)}")
    if not waiting:
        console.print("no comparison waits for a word")


def _json(base: str, reports: Sequence[NodeComparison], failures: Sequence[YingshangError], refused: int) -> str:
    content = {
        "run_id": base,
        "compared": [dataclasses.asdict(record) for report in reports for record in report.compared],
        "never_read": [
            {"system": report.system, "node_code": report.node_code, "dataset": dataset}
            for report in reports
            for dataset in report.unread
        ],
        "refused_repairs": refused,
        "failures": [str(failure) for failure in failures],
    }
    return json.dumps(content, ensure_ascii=False, indent=1, default=str)
