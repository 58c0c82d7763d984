"""`python -m bi run|stop`: what `make bi` and `make bi-stop` call; `state` is for a Superset elsewhere."""

import sys
import time

import typer
from rich.console import Console
from rich.table import Table

from bi.model import load
from bi.server import Superset, User
from demo.layout import DemoError, layout
from yingshang.errors import YingshangError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
console = Console(soft_wrap=True)


@app.command()
def run() -> None:
    """Install Superset, start it on the published marts, import the dashboards; again: what is there stays."""
    began = time.monotonic()
    superset = Superset(layout())
    with console.status("starting") as status:
        users = superset.up(lambda what: status.update(what))
    console.print(_logins(users))
    for name in load().dashboards:
        console.print(f"{name:<12} {superset.url}/superset/dashboard/{name}/")
    console.print(f"ready in {time.monotonic() - began:.0f} s at {superset.url} · `make bi-stop` ends it")


@app.command()
def state() -> None:
    """Write logins, users and the bundle for a Superset that runs elsewhere, such as in a container."""
    superset = Superset(layout())
    users = superset.write_state()
    console.print(f"{superset.state}: {len(users)} users; their passwords are in passwords.json there")


@app.command()
def stop() -> None:
    """Stop Superset; its data stay."""
    console.print("stopped: superset" if Superset(layout()).down() else "Superset was not running")


def _logins(users: list[User]) -> Table:
    table = Table("user", "password", "sees what this role sees in PostgreSQL")
    for user in users:
        table.add_row(user.name, user.password, user.role)
    return table


def main() -> int:
    """Run the command; every expected error is one line and exit code 1."""
    try:
        app(standalone_mode=False)
    except (DemoError, YingshangError) as error:
        Console(stderr=True).print(f"[bold red]bi:[/] {error}", highlight=False, soft_wrap=True)
        return 1
    except typer.Exit as end:
        return end.exit_code
    except KeyboardInterrupt:
        Console(stderr=True).print("bi: interrupted; `make bi-stop` ends what was started")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
