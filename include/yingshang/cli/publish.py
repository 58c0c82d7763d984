"""``yingshang publish``: make an audited build the one that readers see."""

from __future__ import annotations

import uuid

import typer


def command(
    build: int | None = typer.Argument(None, help="Number of the build; the audited one by default."),
    retire: str = typer.Option("", help="End this mart instead; its tables are dropped.", metavar="MART"),
    reason: str = typer.Option("", help="Why the mart is retired."),
) -> None:
    """Flip the live slot: one row changes, and all marts show the new build."""
    from rich.console import Console

    from yingshang import publish
    from yingshang.errors import UsageError

    console = Console(highlight=False, soft_wrap=True)
    if retire:
        if not reason:
            raise UsageError(f"--retire {retire} needs a --reason: readers will ask")
        typer.confirm(f"Drop marts.{retire} and its data in both slots?", abort=True)
        publish.retire(retire, reason)
        console.print(f"marts.{retire} is retired")
        return
    build_id = _audited_build() if build is None else build
    done = publish.publish(build_id, f"cli:{uuid.uuid4()}")
    waited = f", {done.waited_seconds:.1f} s waiting for readers" if done.waited_seconds >= 0.1 else ""
    console.print(
        f"night {done.night} is published (publication {done.publication_id}, build {done.build_id},"
        f" {done.slot}{waited})"
    )
    for system, nodes in done.missing_nodes.items():
        console.print(f"missing from {system}: {', '.join(nodes)}")


def _audited_build() -> int:
    from yingshang.errors import UsageError
    from yingshang.warehouse import session

    with session("publish") as conn:
        rows = dict(conn.execute("select state, build_id from ops.slot where build_id is not null").fetchall())
    if "audited" in rows:
        return int(rows["audited"])
    if "attached" in rows:
        raise UsageError(f"build {rows['attached']} has not been audited: run `yingshang audit` first")
    raise UsageError("no build waits for publication: run `yingshang build` and `yingshang audit` first")
