"""A registry for a simulated province: the nodes that it has, and what its own books say of the published figures.

The project's registry expects the published values. A province of another seed, scale or profile has other totals, and
is held to these: exactly, with the basis ``simulated``.
"""

import csv
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

from demo.layout import DemoError
from simulator import Province
from yingshang.contracts.registry import PublishedFigure, load_registry
from yingshang.settings import PROJECT_ROOT

Rows = list[dict[str, str]]


def write_registry(folder: Path, province: Province, systems: Collection[str] = ()) -> Path:
    """Write the project's registry, cut down to ``province`` and expecting its figures, to ``folder``; returns it.

    Args:
        folder: made when it does not exist; files in it are replaced.
        province: generated. Its figures are those of its last night.
        systems: only these are read; empty: all. Figures of the others stay, and are incomplete: no node provides them.
    """
    given = PROJECT_ROOT / "include" / "registry"
    folder.mkdir(parents=True, exist_ok=True)
    for path in given.iterdir():
        if path.is_file():
            shutil.copy(path, folder / path.name)
    providers = {node.code for node in province.nodes()}
    above = {node.city for node in province.nodes()}
    _rewrite(folder / "nodes.csv", lambda rows: (row for row in rows if row["node_code"] in providers | above))
    _rewrite(
        folder / "provisions.csv",
        lambda rows: (
            row for row in rows if row["node_code"] in providers and (not systems or row["system"] in systems)
        ),
    )
    _rewrite(folder / "quorum.csv", lambda rows: (row for row in rows if not systems or row["system"] in systems))
    _rewrite(folder / "access.csv", lambda rows: (row for row in rows if row["division_code"] in providers | above))
    true = {str(name): Decimal(value) for name, value in province.figures().select("figure", "value").iter_rows()}
    published = load_registry(given).figures
    _rewrite(folder / "figure_expectations.csv", lambda rows: _expectations(rows, published, true))
    return folder


def systems_of(text: str) -> tuple[str, ...]:
    """Names of systems separated by commas, none for an empty text.

    Raises:
        DemoError: there is no such system.
    """
    asked = {name.strip() for name in text.split(",") if name.strip()}
    known = load_registry(PROJECT_ROOT / "include" / "registry").systems
    unknown = sorted(asked - set(known))
    if unknown:
        raise DemoError(f"there is no system {', '.join(unknown)}: give some of {','.join(known)}, separated by commas")
    return tuple(name for name in known if name in asked)


def holds(figure: PublishedFigure, value: Decimal) -> bool:
    """Whether a value agrees with the published one by the figure's rule."""
    if figure.rule == "greater":
        return value > figure.published_value
    if figure.step is not None:
        value = (value / figure.step).quantize(Decimal(1), ROUND_HALF_UP) * figure.step
    return value == figure.published_value


def _expectations(
    rows: Rows, published: Mapping[str, PublishedFigure], true: Mapping[str, Decimal]
) -> Iterator[dict[str, str]]:
    """What is published, where the province's books agree with it; else what they say."""
    for row in rows:
        value = true.get(row["figure"])
        if value is None or holds(published[row["figure"]], value):
            yield row
        else:
            yield {**row, "expected_value": format(value.normalize(), "f"), "basis": "simulated"}


def _rewrite(path: Path, change: Callable[[Rows], Iterable[dict[str, str]]]) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows, fields = list(reader), list(reader.fieldnames or [])
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fields, lineterminator="\n")
        writer.writeheader()
        writer.writerows(change(rows))
    partial.replace(path)
