"""``yingshang warehouse``: prepare the warehouse."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    """The warehouse: PostgreSQL 17 or newer."""


@app.command()
def init(
    reset_logins: bool = typer.Option(
        False, "--reset-logins", help="Take over logins of a warehouse in another database of the server."
    ),
) -> None:
    """Make roles, logins, schemas, ledger and raw tables in the database of YINGSHANG_WAREHOUSE_DSN.

    Can be repeated: what is there stays. The logins' connections are saved in the connections file.
    """
    from yingshang.settings import settings
    from yingshang.warehouse.roles import admin_dsn, init_warehouse

    report = init_warehouse(admin_dsn(), reset_logins=reset_logins)
    typer.echo(f"PostgreSQL {report.server}, database {report.database}")
    if report.new_logins:
        typer.echo(f"logins made: {', '.join(report.new_logins)} (connections in {settings().connections})")
    else:
        typer.echo("logins: all there")
    _say_changes(report.migrations, report.raw_changes)
    for warning in report.warnings:
        typer.secho(f"warning: {warning}", fg="yellow", err=True)


@app.command()
def migrate() -> None:
    """Bring ledger and raw tables up to this version of the program and its contracts, as the owner."""
    from yingshang.contracts import load_contracts
    from yingshang.warehouse import session
    from yingshang.warehouse.migrate import migrate as apply
    from yingshang.warehouse.raw import sync_raw

    contracts = load_contracts()
    with session("owner", autocommit=True) as connection:
        migrations = apply(connection)
        raw_changes = sync_raw(connection, contracts)
    _say_changes([migration.name for migration in migrations], raw_changes)


def _say_changes(migrations: tuple[str, ...] | list[str], raw_changes: tuple[str, ...] | list[str]) -> None:
    for name in migrations:
        typer.echo(f"migration {name}: applied")
    for change in raw_changes:
        typer.echo(change)
    if not migrations and not raw_changes:
        typer.echo("tables: up to date")
