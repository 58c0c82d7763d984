"""``yingshang keys``: the keys of this installation."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keys of this installation."""


@app.command()
def init() -> None:
    """Make the keys unless there are some: one for tokens of personal identifiers, one for quarantined rows.

    Whoever loses them can no longer join tokens with those of other nights, nor replay quarantined rows: back them up.
    """
    from yingshang import secrets
    from yingshang.settings import settings

    made = secrets.init_keys()
    secrets.keys()
    typer.echo(f"keys {'made' if made else 'already there'}: {settings().keys}")
