"""``yingshang alerts``: what people would be told now, and what they were told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from yingshang.cli.options import AsJson

if TYPE_CHECKING:
    from rich.console import Console

    from yingshang.alerts import Finding

SHOWN = 10


def command(
    messages: int = typer.Option(3, "--messages", min=0, help="How many sent messages to show."),
    everything: bool = typer.Option(False, "--all", help="Show every line, not the first ones of a kind."),
    as_json: AsJson = False,
) -> None:
    """Show what is wrong now, what of it was said, and the last messages. Nothing is sent. Times: Asia/Shanghai."""
    from dataclasses import asdict

    from rich.console import Console

    from yingshang.alerts import outlook

    found = outlook(messages)
    if as_json:
        typer.echo(json.dumps(asdict(found), ensure_ascii=False, indent=1, default=str))
        return
    console = Console(highlight=False, markup=False, soft_wrap=True)
    news = found.news
    if not (news.is_any or news.same):
        console.print("nothing to tell")
    for said, group in (
        ("not said yet", news.fresh), ("changed since it was said", news.changed), ("said", news.same),
        ("over, not said yet", news.over),
    ):  # fmt: skip
        _say(console, said, group, everything)
    for message in found.messages:
        console.print(f"\n--- message {message.message_id}, {message.said_at:%Y-%m-%d %H:%M}: {message.title}")
        console.print(message.body)


def _say(console: Console, said: str, group: list[Finding], everything: bool) -> None:
    from yingshang.alerts import KINDS

    for kind in KINDS.values():
        of_kind = [one for one in group if one.kind == kind.name]
        if not of_kind:
            continue
        console.print(f"{kind.title} ({said}): {len(of_kind)}; {kind.runbook}")
        for one in of_kind if everything else of_kind[:SHOWN]:
            console.print(f"  {one.detail}{f' (since {one.since})' if one.since else ''}")
        if not everything and len(of_kind) > SHOWN:
            console.print(f"  and {len(of_kind) - SHOWN} more: --all")
