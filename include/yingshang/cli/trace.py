"""``yingshang trace``: from a mart row back to raw versions, batches, landed files and node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from yingshang.cli.options import AsJson

if TYPE_CHECKING:
    from rich.console import Console

    from yingshang.publish.lineage import Delivery, Trace, Version


def command(
    code: str = typer.Argument(..., help="UNIFIED_DEAL_CODE (统一交易标识码), or BID_SECTION_CODE of a lot."),
    as_json: AsJson = False,
) -> None:
    """Show where the published figures of a deal come from."""
    import dataclasses
    import json
    import sys

    from rich.console import Console

    from yingshang.publish import trace

    found = trace(code)
    if as_json:
        json.dump(dataclasses.asdict(found), sys.stdout, ensure_ascii=False, indent=1, default=str)
        sys.stdout.write("\n")
        return
    console = Console(highlight=False)
    _print_marts(console, found)
    _print_versions(console, found)
    _print_batches(console, found)


def _print_marts(console: Console, found: Trace) -> None:
    from rich.table import Table

    if found.publication is None:
        console.print("Nothing has been published yet.")
        return
    if not found.mart_rows:
        console.print(f"Not among the published rows of night {found.publication.night}; in raw there is:")
        return
    table = Table(
        title=f"published: night {found.publication.night}, publication {found.publication.publication_id},"
        f" build {found.publication.build_id}",
        title_justify="left",
    )
    for name in ("mart", "row", "node", "from batch", "row of batch"):
        table.add_column(name, overflow="fold")
    for one in found.mart_rows:
        shown = ", ".join(f"{key}={value}" for key, value in one.values.items() if value is not False)
        table.add_row(one.mart, shown, one.node_code or "", str(one.batch_id), str(one.row))
    console.print(table)


def _print_versions(console: Console, found: Trace) -> None:
    from rich.table import Table

    table = Table(title="versions in raw", title_justify="left")
    for name in ("dataset", "key", "cursor", "batch", "row", ""):
        table.add_column(name, overflow="fold")
    for one in found.versions:
        table.add_row(one.dataset, one.key, one.cursor, str(one.batch_id), str(one.row), _said_of(one))
    console.print(table)


def _print_batches(console: Console, found: Trace) -> None:
    from rich.table import Table

    table = Table(title="batches", title_justify="left")
    for name in ("batch", "node", "dataset", "night", "read", "rows", "last word", "landed file"):
        table.add_column(name, overflow="fold")
    for one in found.deliveries:
        word = f"{one.event} (seq {one.seq}): {one.reason}" if one.event else "not judged yet"
        table.add_row(
            str(one.batch_id), f"{one.node_code} {one.node_name}", f"{one.system}.{one.dataset}", str(one.night),
            _read(one), str(one.source_rows), word, one.landing_uri or "",
        )  # fmt: skip
    console.print(table)


def _said_of(one: Version) -> str:
    words = ["tombstone"] if one.is_deleted else []
    if one.is_shown:
        words.append("published")
    elif not one.is_visible:
        words.append("not visible")
    return ", ".join(words)


def _read(one: Delivery) -> str:
    if one.drop_period:
        return f"drop {one.drop_period}"
    if one.replay_of is not None:
        return f"quarantined rows of batch {one.replay_of}, replayed"
    return f"{one.kind} {one.cursor_low or 'the beginning'} to {one.cursor_high or 'nothing'}"
