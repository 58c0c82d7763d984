"""``yingshang access``: who may see what."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from yingshang.cli.options import AsJson

if TYPE_CHECKING:
    from rich.table import Table

    from yingshang.quality.access import RoleSight

PIPED_WIDTH = 160

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Who may see what: the access registry (access.csv), and what PostgreSQL makes of it."""


@app.command()
def check() -> None:
    """Check the access registry; nothing is changed. Exit code 1 when a row is not valid or has expired."""
    from yingshang.contracts.access import load_access

    registry = load_access(refuse_expired=True)
    typer.echo(f"{registry.path}: {len(registry.active)} roles")
    _say_warnings(registry.warnings)


@app.command()
def apply() -> None:
    """Make logins and grants what the access registry says, as the administrator of YINGSHANG_WAREHOUSE_DSN.

    New logins' connections are saved in the connections file. What ends, ends now; without this it ends next night.
    """
    from yingshang.settings import settings
    from yingshang.warehouse.roles import admin_dsn, apply_access

    changes, logins = apply_access(admin_dsn())
    typer.echo(str(changes))
    if logins:
        typer.echo(f"logins made: {', '.join(logins)} (connections in {settings().connections})")
    _say_warnings(changes.warnings)


@app.command()
def report(
    role: str = typer.Option("", help="Only this role, mart by mart."),
    as_json: AsJson = False,
) -> None:
    """Show who sees what of the published marts: marts, columns and rows, counted as each role."""
    from rich.console import Console

    from yingshang.errors import UsageError
    from yingshang.quality.access import who_sees_what

    found = [one for one in who_sees_what() if role in ("", one.role)]
    if not found:
        raise UsageError(
            f"no role {role or 'at all'} sees anything: `yingshang access apply` grants what access.csv says"
        )
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], ensure_ascii=False, indent=1, default=str))
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    console.print(_of_role(found[0]) if role else _of_all(found))


def _of_all(found: list[RoleSight]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title="Who sees what", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("role", "division", "up to", "marts", "rows", "expires", "review", "approved by"):
        table.add_column(name, justify="right" if name in ("marts", "rows") else "left")
    for one in found:
        marts = [mart for mart in one.marts if mart.is_granted]
        table.add_row(
            one.role,
            f"{one.division_code} {one.division_name}",
            one.sensitivity,
            f"{len(marts)} of {len(one.marts)}",
            f"{sum(mart.rows for mart in marts):,}",
            str(one.expires_on),
            str(one.review_date),
            one.approver,
        )
    return table


def _of_role(one: RoleSight) -> Table:
    from rich import box
    from rich.table import Table

    title = f"{one.role}: {one.division_code} {one.division_name}, up to {one.sensitivity}; {one.purpose}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("mart", "sensitivity", "rows", "of", "columns not granted", "small figures"):
        table.add_column(name, justify="right" if name in ("rows", "of") else "left")
    for mart in one.marts:
        table.add_row(
            mart.mart,
            mart.sensitivity,
            f"{mart.rows:,}" if mart.is_granted else "not granted",
            f"{mart.all_rows:,}",
            ", ".join(mart.hidden_columns) if mart.is_granted else "",
            ", ".join(mart.small_figures) if mart.is_granted else "",
        )
    return table


def _say_warnings(warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        typer.secho(f"warning: {warning}", fg="yellow", err=True)
