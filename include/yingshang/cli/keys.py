"""``yingshang keys``: the keys of this installation."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


class Use(StrEnum):
    """What a key is for."""

    HMAC = "hmac"
    QUARANTINE = "quarantine"


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


@app.command()
def rotate(
    use: Annotated[Use, typer.Argument(help="hmac: tokens of persons; quarantine: rows that broke their contract.")],
) -> None:
    """Make a new active key. The older ones stay: quarantined rows are read with the key that they were written with.

    New tokens of persons no longer equal those of nights before; digests of rows stay as they are.
    """
    from yingshang import secrets
    from yingshang.settings import settings

    made = secrets.rotate_key(use.value)
    typer.echo(f"active {use} key: {made} (in {settings().keys}: back it up)")
