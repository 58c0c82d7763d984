"""``yingshang rollback``: show the publication before the live one again."""

from __future__ import annotations

import typer


def command(
    reason: str = typer.Option(..., help="Why; it stands in the ledger (ops.publication)."),
) -> None:
    """Flip back to the other slot. The slot that was live is built in full next."""
    from rich.console import Console

    from yingshang import publish

    done = publish.rollback(reason)
    Console(highlight=False, soft_wrap=True).print(
        f"rolled back: night {done.night} is published again (publication {done.publication_id}, build {done.build_id},"
        f" {done.slot}). The next build of the other slot is a full one"
    )
