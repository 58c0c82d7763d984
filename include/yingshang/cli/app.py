"""The root of the command line: its table of commands and its one error handler.

A command is a module of this package (``check-drop`` is ``check_drop``) and a line in :data:`COMMANDS`. The module has
either ``app``, a :class:`typer.Typer` with subcommands, or ``command``, one function. Only the module that was asked
for is imported, so that help is instant; within a module, import what is heavy inside the function that needs it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module, metadata
from importlib.util import find_spec

import typer

from yingshang.errors import UsageError, YingshangError

COMMANDS: dict[str, str] = {
    "contracts": "Check the contracts and the registry; generate what derives from them.",
    "keys": "Make the keys for personal identifiers and quarantine.",
    "access": "Who may see what: check, apply and show the access registry.",
    "warehouse": "Prepare the warehouse and bring its tables up to date.",
    "night": "Run one whole night by hand, without Airflow.",
    "check-drop": "Say what would be rejected of a file, before it is sent.",
    "ingest": "Read one night of sources into raw, by hand.",
    "replay": "Load quarantined rows that keep today's contract.",
    "reload": "Read nights again: any nodes and datasets.",
    "reconcile": "Find what the nights could not see: rows lost, changed or deleted at the sources; repair it.",
    "gate": "Judge batches: run the landing gate, accept or reject a batch.",
    "build": "Build the marts in the idle slot.",
    "audit": "Check the marts of a build before they are published.",
    "publish": "Publish the built slot.",
    "rollback": "Publish the other slot again.",
    "figures": "The published figures: which hold, which differ, which nodes are missing.",
    "status": "Nights, provisions and their ages, what is published.",
    "report": "The night's report: what arrived, was checked, was published, what to do.",
    "export": "Open data: the published marts as tables, procurement as OCDS.",
    "alerts": "What people would be told now, and what they were told.",
    "docs": "Write the pages about the models: columns, lineage, metrics, dashboards.",
    "maintenance": "Housekeeping: expired quarantine, orphaned files, old builds, VACUUM.",
    "trace": "From a mart row back to raw versions, batches, files and node.",
}
DEBUG_VARIABLE = "YINGSHANG_DEBUG"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 an error that is explained on stderr, 2 wrong use."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments or bool(os.environ.get(DEBUG_VARIABLE))
    try:
        root_app(arguments)(arguments, prog_name="yingshang")
    except YingshangError as error:
        if debug:
            raise
        say_error(error)
        sys.exit(2 if isinstance(error, UsageError) else 1)


def root_app(arguments: Sequence[str]) -> typer.Typer:
    """The root with all commands listed and the one in ``arguments`` loaded (all of them for shell completion)."""
    app = typer.Typer(
        help="The data warehouse of Liaoning Province's business environment (营商环境).",
        no_args_is_help=True,
        rich_markup_mode=None,  # half a second of imports for frames around the help
        pretty_exceptions_enable=False,  # its tracebacks show local values: personal data, passwords
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    completing = any(name.startswith("_YINGSHANG") and name.endswith("COMPLETE") for name in os.environ)
    asked = next((argument for argument in arguments if not argument.startswith("-")), None)
    for name, about in COMMANDS.items():
        module = f"yingshang.cli.{name.replace('-', '_')}"
        if find_spec(module) is None:
            continue
        if completing or name == asked:
            _load(app, name, about, module)
        else:
            app.command(name, help=about)(_placeholder)
    return app


def say_error(error: YingshangError) -> None:
    """The error's message in red on stderr, a line for each thing that is wrong."""
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True, highlight=False).print(Text(f"error: {error}", style="red"), soft_wrap=True)


def _load(app: typer.Typer, name: str, about: str, module: str) -> None:
    loaded = import_module(module)
    group = getattr(loaded, "app", None)
    if isinstance(group, typer.Typer):
        app.add_typer(group, name=name, help=about)
    else:
        app.command(name)(loaded.command)


def _root(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error.", envvar=DEBUG_VARIABLE),
    version: bool = typer.Option(False, "--version", help="Show the version and exit."),
) -> None:
    if version:
        typer.echo(f"yingshang {metadata.version('yingshang')}")
        raise typer.Exit


def _placeholder() -> None:
    """Stands for a command that was not asked for."""
