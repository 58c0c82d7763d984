"""``yingshang contracts``: the descriptions of the sources, and what derives from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from yingshang.cli.options import AsJson
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

    contracts, found = read_contracts()
    problems = [str(problem) for problem in found]
    registry, registry_problems = read_registry()
    problems += registry_problems
    if not found:
        problems += _stale(contracts)
    _print_table(contracts, registry)
    if problems:
        raise ContractError("\n".join([f"{len(problems)} found", *problems]))


@app.command()
def generate(
    check_only: bool = typer.Option(False, "--check", help="Write nothing; fail when a file is not up to date."),
) -> None:
    """Write what derives from the contracts: dbt's source files, and docs/reference/personal-data.md."""
    from yingshang.contracts import load_contracts
    from yingshang.contracts.inventory import inventory_page, inventory_text, is_page_stale
    from yingshang.contracts.sources import write_sources

    contracts = load_contracts()
    if check_only:
        stale = _stale(contracts)
        if stale:
            raise ContractError("\n".join(stale))
        typer.echo("generated files: up to date")
        return
    written = write_sources(contracts)
    if is_page_stale(contracts):
        inventory_page().parent.mkdir(parents=True, exist_ok=True)
        inventory_page().write_text(inventory_text(contracts), encoding="utf-8")
        written.append(inventory_page())
    for path in written:
        typer.echo(f"{path}: written")
    if not written:
        typer.echo("generated files: up to date")


@app.command()
def inventory(
    as_json: AsJson = False,
) -> None:
    """Every column about a person: its class, what becomes of it, and where it goes."""
    from yingshang.contracts import load_contracts
    from yingshang.contracts.inventory import inventory_json, personal_columns

    contracts = load_contracts()
    if as_json:
        typer.echo(inventory_json(contracts))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table("dataset", "column", "class", "becomes", "in raw as", "published in", box=SIMPLE_HEAD)
    for one in personal_columns(contracts):
        table.add_row(one.dataset, one.column, one.pii, one.becomes, one.landing, "\n".join(one.marts) or "none")
    Console().print(table)


def _stale(contracts: Mapping[str, Contract]) -> list[str]:
    """A line for each generated file that is not what the contracts and models say."""
    from yingshang.contracts.inventory import inventory_page, is_page_stale
    from yingshang.contracts.sources import stale_files

    stale = [*stale_files(contracts), *([inventory_page()] if is_page_stale(contracts) else [])]
    return [f"{path}: does not match the contracts: run `yingshang contracts generate`" for path in stale]


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
