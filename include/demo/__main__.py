"""`python -m demo run|stop|clean`: what `make demo`, `make stop` and `make clean` call."""

import os
import sys
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from demo.layout import DemoError, layout

PIPED_WIDTH = 130
app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
console = Console()
if not console.is_terminal and "COLUMNS" not in os.environ:
    console.width = PIPED_WIDTH


@app.command()
def run(
    scale: Annotated[float, typer.Option(help="size of the province; 1 = the published sizes", min=0.001)] = 0.02,
    nights: Annotated[int, typer.Option(help="nights to run", min=1)] = 3,
    seed: Annotated[int, typer.Option(help="seed of the simulated province")] = 1,
    systems: Annotated[str, typer.Option(help="only these systems, separated by commas; empty: all")] = "",
    profile: Annotated[str | None, typer.Option(help="`tiny`: a province of 11 nodes, for tests", hidden=True)] = None,
    canaries: Annotated[
        bool, typer.Option("--canaries", help="plant invented persons, for tests", hidden=True)
    ] = False,
) -> None:
    """Start everything and run nights; a second call continues with the nights that follow."""
    from demo.nights import published_night, run_night
    from demo.registry import systems_of
    from demo.report import print_report
    from demo.stack import Options, Stack
    from yingshang.warehouse import dsn

    began = time.monotonic()
    stack = Stack(layout())
    with console.status("starting") as status:
        options = Options(scale, seed, profile, canaries, systems_of(systems))
        airflow = stack.up(options, lambda what: status.update(f"starting: {what}"))
    console.print(f"started in {time.monotonic() - began:.0f} s · Airflow {airflow.url}")
    columns = (
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console) as progress:
        for _ in range(nights):
            if published_night(dsn("owner")) == stack.province_night:
                stack.advance()
            run_night(stack, airflow, dsn("owner"), stack.province_night, progress)
    print_report(console, airflow, stack.truth, time.monotonic() - began)


@app.command()
def stop() -> None:
    """Stop everything that the demo started; its data stay."""
    from demo.stack import Stack

    stopped = Stack(layout()).down()
    console.print(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")


@app.command()
def clean() -> None:
    """Stop everything and remove the demo's data."""
    from demo.stack import Stack

    Stack(layout()).clean()
    console.print("the demo's data are gone")


def main() -> int:
    """Run the command; every expected error is one line and exit code 1."""
    from localpg import LocalPostgresError
    from simulator import ProvinceError
    from yingshang.errors import YingshangError

    try:
        app(standalone_mode=False)
    except (DemoError, LocalPostgresError, ProvinceError, YingshangError) as error:
        Console(stderr=True).print(f"[bold red]demo:[/] {error}", highlight=False, soft_wrap=True)
        return 1
    except typer.Exit as end:
        return end.exit_code
    except KeyboardInterrupt:
        Console(stderr=True).print("demo: interrupted; `make stop` ends what was started")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
