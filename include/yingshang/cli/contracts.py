"""``yingshang contracts``: the descriptions of the sources, and what derives from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from yingshang.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from yingshang.contracts import Contract
    from yingshang.contracts.registry import Registry

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Contracts of the source datasets and the registry of the nodes that provide them."""


@app.command()
def check() -> None:
    """Validate all contracts and the registry, and that generated files are up to date."""
    from yingshang.contracts import read_contracts
    from yingshang.contracts.registry import read_registry
    from yingshang.contracts.sources import stale_files

    contracts, found = read_contracts()
    problems = [str(problem) for problem in found]
    registry, registry_problems = read_registry()
    problems += registry_problems
    if not found:
        problems += [
            f"{path}: does not match the contracts: run `yingshang contracts generate`"
            for path in stale_files(contracts)
        ]
    _print_table(contracts, registry)
    if problems:
        raise ContractError("\n".join([f"{len(problems)} found", *problems]))


@app.command()
def generate(
    check_only: bool = typer.Option(False, "--check", help="Write nothing; fail when a file is not up to date."),
) -> None:
    """Write what derives from the contracts: dbt_project/models/staging/<system>/_sources.yml."""
    from yingshang.contracts import load_contracts
    from yingshang.contracts.sources import stale_files, write_sources

    contracts = load_contracts()
    if check_only:
        stale = stale_files(contracts)
        if stale:
            raise ContractError(
                "\n".join(f"{path}: does not match the contracts: run `yingshang contracts generate`" for path in stale)
            )
        typer.echo("generated files: up to date")
        return
    written = write_sources(contracts)
    for path in written:
        typer.echo(f"{path}: written")
    if not written:
        typer.echo("generated files: up to date")


def _print_table(contracts: Mapping[str, Contract], registry: Registry) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(Column("dataset", min_width=19), Column("table", min_width=14), "", box=SIMPLE_HEAD)
    for name in ("columns", "personal", "nodes"):
        table.add_column(name, justify="right")
    for contract in contracts.values():
        table.add_row(
            contract.name,
            contract.table,
            contract.business_name,
            str(len(contract.columns)),
            str(len(contract.personal_columns)),
            str(sum(provision.name == contract.name for provision in registry.provisions)),
        )
    Console().print(table)
