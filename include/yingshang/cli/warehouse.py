"""``yingshang warehouse``: prepare the warehouse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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


@app.command()
def metadata(
    file: Annotated[Path, typer.Argument(help="File with the DSN of the metadata database, and nothing else.")],
) -> None:
    """Make a neighbour's login and database (Airflow's, Superset's) on the server of YINGSHANG_WAREHOUSE_DSN.

    Can be repeated; the login then has the password that stands in FILE.
    """
    from yingshang.errors import UsageError
    from yingshang.warehouse.metadata import make_metadata
    from yingshang.warehouse.roles import admin_dsn

    if not file.is_file():
        raise UsageError(f"{file} is no file: write dialect://login:password@host:port/database into it")
    typer.echo(f"database {make_metadata(admin_dsn(), file.read_text(encoding='utf-8').strip())}: ready")


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    jobs: Annotated[int, typer.Option(min=1, max=32, help="Tables written at once.")] = 2,
) -> None:
    """Write the warehouse of YINGSHANG_WAREHOUSE_DSN into FOLDER, as of one moment. Readers and nights go on.

    Needs pg_dump. Keys, connections and the landing zone are not in it: save them beside it.
    """
    from yingshang.backup import backup as make
    from yingshang.settings import settings
    from yingshang.warehouse.roles import admin_dsn

    made = make(admin_dsn(), folder, jobs=jobs)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    live = f"publication {made.live.publication_id} of night {made.live.night}" if made.live else "nothing published"
    typer.echo(f"{folder}: {live}, {sum(made.rows.values()):,} rows in {len(made.rows)} tables, {size / 1e6:,.1f} MB")
    typer.echo(f"not in it, save as well: {settings().keys}, {settings().connections}, {settings().landing},")
    typer.echo(f"  {settings().state / 'registry'} and {settings().state / 'reports'}")


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(help="A folder written by `yingshang warehouse backup`.")],
    jobs: Annotated[int, typer.Option(min=1, max=32, help="Tables read at once.")] = 2,
) -> None:
    """Make the backup in FOLDER the warehouse of YINGSHANG_WAREHOUSE_DSN, a database that has none.

    Needs pg_restore, and the key file that was saved beside the backup. Logins get connections as by `init`.
    """
    from yingshang.backup import restore as bring_back
    from yingshang.settings import settings
    from yingshang.warehouse.roles import admin_dsn

    done = bring_back(admin_dsn(), folder, jobs=jobs)
    live = done.manifest.live
    shown = f"publication {live.publication_id} of night {live.night} is what readers see" if live else "none published"
    typer.echo(f"{sum(done.manifest.rows.values()):,} rows of {done.manifest.made_at:%Y-%m-%d %H:%M:%S %Z}: {shown}")
    if done.init.new_logins:
        typer.echo(f"logins made: {', '.join(done.init.new_logins)} (connections in {settings().connections})")
    _say_changes(done.init.migrations, done.init.raw_changes)
    warnings = list(done.init.warnings)
    if done.put_aside:
        warnings.append(
            f"{done.put_aside} landed files are of batches after the backup: moved aside in {settings().landing}"
        )
    if done.not_landed:
        warnings.append(f"{done.not_landed} batches have no file in {settings().landing}: bring its copy back as well")
    for warning in warnings:
        typer.secho(f"warning: {warning}", fg="yellow", err=True)


def _say_changes(migrations: tuple[str, ...] | list[str], raw_changes: tuple[str, ...] | list[str]) -> None:
    for name in migrations:
        typer.echo(f"migration {name}: applied")
    for change in raw_changes:
        typer.echo(change)
    if not migrations and not raw_changes:
        typer.echo("tables: up to date")
