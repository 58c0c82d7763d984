"""`yingshang check-drop`: what would be rejected of a file, before it is sent."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yingshang.cli.options import AsJson
from yingshang.errors import UsageError

if TYPE_CHECKING:
    from yingshang.contracts import Contract
    from yingshang.ingest.precheck import PreCheck


def command(
    file: Annotated[Path, typer.Argument(help="The data file: .csv, .xlsx or .xml.")],
    dataset: Annotated[str, typer.Option(help="Dataset, such as trading.lot.")],
    node: Annotated[str, typer.Option(help="6-digit code of the node that sends it.")],
    charset: Annotated[str, typer.Option(help="Charset of a CSV; by default that of its manifest, else GB18030.")] = "",
    limit: Annotated[int, typer.Option(min=0, help="Rejected rows to tell one by one; 0: all.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """Say what would be rejected of a file and why, line by line. Needs no database, no keys, no connection.

    The manifest beside the file (<name>.manifest.json) is checked with it. No value of a row is printed. Ends with 0
    when all would be loaded, 1 when something would be rejected, 2 when the file cannot be read at all.
    """
    from yingshang.ingest.precheck import check_drop

    contract = _contract(dataset)
    unusual = _node_notes(contract, node)
    found = check_drop(file, contract, node, charset=charset or None, kept=limit or None)
    found = dataclasses.replace(found, notes=(*unusual, *found.notes))
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(found) | {"is_clean": found.is_clean}, ensure_ascii=False, indent=1))
    else:
        _say(found)
    if not found.is_clean:
        raise typer.Exit(1)


def _contract(dataset: str) -> Contract:
    from yingshang.contracts import load_contracts

    contracts = load_contracts()
    meant = [one for one in contracts.values() if dataset in (one.name, one.dataset)]
    if len(meant) != 1:
        raise UsageError(f"--dataset {dataset!r} is none of {', '.join(sorted(contracts))}")
    return meant[0]


def _node_notes(contract: Contract, node_code: str) -> list[str]:
    """Raises UsageError when there is no such node."""
    from yingshang.contracts.registry import load_registry
    from yingshang.errors import RegistryError

    registry = load_registry()
    try:
        name = registry.node(node_code).name
    except RegistryError as error:
        raise UsageError(f"--node: {error}") from None
    provisions = registry.provisions_of(contract.system, node_code)
    of_dataset = [one for one in provisions if one.dataset == contract.dataset]
    if not of_dataset:
        return [f"{name} ({node_code}) does not provide {contract.name}: see the registry"]
    if of_dataset[0].connector != "files":
        return [f"{name} ({node_code}) provides {contract.name} by {of_dataset[0].connector}, not by files"]
    return []


def _say(found: PreCheck) -> None:
    for problem in found.problems:
        for reason in problem.reasons:
            typer.echo(f"line {problem.line} (row {problem.row}): {reason.message}  [{reason.rule}]")
    if len(found.problems) < found.rejected:
        typer.echo(f"and {found.rejected - len(found.problems)} more rejected rows: --limit 0 shows all")
    if found.problems:
        typer.echo("")
    for rule, rows in found.reasons.items():
        typer.echo(f"{rows:>8,} {'row' if rows == 1 else 'rows'}: {rule}")
    for note in found.notes:
        typer.echo(f"note: {note}")
    for refusal in found.refusals:
        typer.secho(f"nothing of it would be loaded: {refusal}", fg="red")
    counts = (
        f"{found.rows:,} rows: {found.accepted:,} good, {found.rejected:,} rejected, {found.duplicates:,} identical"
    )
    typer.echo(f"{found.file} as {found.dataset} of {found.node_code}: {counts} to another one")
    if found.is_clean:
        typer.secho("all of it would be loaded", fg="green")
