"""The fleet: which nodes there are, what each has to provide and how, and how many make a night.

Read from ``include/registry``: nodes.csv, provisions.csv, quorum.csv, and the figures that the warehouse must
reproduce: published_figures.csv and figure_expectations.csv. Onboarding a county is a diff there and a secret named
:meth:`Provision.conn_id`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal, TypeVar, cast

from yingshang.errors import RegistryError
from yingshang.settings import settings

Row = TypeVar("Row")
Level = Literal["province", "city", "county"]
Connector = Literal["postgres", "http", "files"]

LEVELS = ("province", "city", "county")
PARENT_LEVEL = {"province": None, "city": "province", "county": "city"}
FORMATS: dict[str, tuple[str, ...]] = {"postgres": ("",), "http": ("",), "files": ("csv-gb18030", "xlsx", "xml")}
CADENCES = ("daily",)
ROUNDED = re.compile(r"equal after rounding to (\d+(?:\.\d+)?)")
RULES = ("equal", "greater", "equal to the active divisions of that level")
"""How a published value is compared, beside ``equal after rounding to <step>``."""
BASES = ("published", "simulated")


@dataclass(frozen=True)
class Node:
    """One government that runs source systems. ``pool``: the Airflow pool its tasks run in."""

    node_code: str
    name: str
    level: Level
    parent_code: str
    pool: str


@dataclass(frozen=True)
class Provision:
    """The duty of a node to provide a dataset, from the night ``valid_from`` on."""

    system: str
    dataset: str
    node_code: str
    connector: Connector
    format: str
    cadence: str
    valid_from: date

    @property
    def name(self) -> str:
        """``trading.lot``"""
        return f"{self.system}.{self.dataset}"

    @property
    def conn_id(self) -> str:
        """``trading_210100``"""
        return f"{self.system}_{self.node_code}"


@dataclass(frozen=True)
class Quorum:
    """What a night of a system needs: these nodes, and this share of all of them."""

    system: str
    required_nodes: tuple[str, ...]
    min_share: float


@dataclass(frozen=True)
class PublishedFigure:
    """A figure of the province's accounts: its value in ``unit``, counted by event time up to the end of ``cut_off``.

    ``rule``: one of :data:`RULES`, or ``equal after rounding to <step>``.
    """

    figure: str
    system: str
    published_value: Decimal
    unit: str
    rule: str
    cut_off: date
    statement: str

    @property
    def step(self) -> Decimal | None:
        """What the value is rounded to before it is compared; None for the other rules."""
        found = ROUNDED.fullmatch(self.rule)
        return Decimal(found[1]) if found else None


@dataclass(frozen=True)
class FigureExpectation:
    """What the warehouse is held to: the published value by its rule, or exactly what a simulated province holds."""

    figure: str
    expected_value: Decimal
    basis: Literal["published", "simulated"]


@dataclass(frozen=True)
class Registry:
    """nodes by code, provisions in file order, quorum by system, figures and what is expected of them by name."""

    nodes: dict[str, Node]
    provisions: tuple[Provision, ...]
    quorum: dict[str, Quorum]
    figures: dict[str, PublishedFigure] = field(default_factory=dict)
    expectations: dict[str, FigureExpectation] = field(default_factory=dict)

    @property
    def systems(self) -> tuple[str, ...]:
        return tuple(sorted(self.quorum))

    def node(self, node_code: str) -> Node:
        """Raises RegistryError."""
        try:
            return self.nodes[node_code]
        except KeyError:
            raise RegistryError(
                f"no node {node_code!r} in the registry: see {settings().registry_dir / 'nodes.csv'}"
            ) from None

    def provisions_of(
        self, system: str, node_code: str | None = None, *, night: date | None = None
    ) -> tuple[Provision, ...]:
        """Provisions of a system (of one node), due in ``night`` if given.

        Raises:
            RegistryError: the system or the node is unknown.
        """
        if system not in self.quorum:
            raise RegistryError(f"no system {system!r} in the registry; there are {', '.join(self.systems)}")
        if node_code is not None:
            self.node(node_code)
        return tuple(
            provision
            for provision in self._by_system[system]
            if (node_code is None or provision.node_code == node_code)
            and (night is None or provision.valid_from <= night)
        )

    def nodes_of(self, system: str, *, night: date | None = None) -> tuple[Node, ...]:
        """Nodes with a provision of the system (due in ``night``), by code."""
        codes = {provision.node_code for provision in self.provisions_of(system, night=night)}
        return tuple(self.nodes[code] for code in sorted(codes))

    @cached_property
    def _by_system(self) -> dict[str, list[Provision]]:
        found: dict[str, list[Provision]] = {system: [] for system in self.quorum}
        for provision in self.provisions:
            found[provision.system].append(provision)
        return found


def load_registry(root: Path | None = None, *, datasets: Iterable[str] | None = None) -> Registry:
    """The registry under ``root`` (default: the project's).

    ``datasets``: names such as ``trading.lot`` that exist; default: those with a contract file.

    Raises:
        RegistryError: a line for each problem, with file and line number.
    """
    root, known = root or settings().registry_dir, frozenset(_contract_files() if datasets is None else datasets)
    files = sorted(path for path in root.glob("*.csv"))
    return _load(root, known, tuple((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in files))


@lru_cache(maxsize=4)
def _load(root: Path, known: frozenset[str], _files: tuple[tuple[str, int, int], ...]) -> Registry:
    """Read anew only when a file has changed: a night's tasks are forks of one process that has read it."""
    registry, problems = read_registry(root, datasets=known)
    if problems:
        raise RegistryError("\n".join(problems))
    return registry


def read_registry(root: Path | None = None, *, datasets: Iterable[str] | None = None) -> tuple[Registry, list[str]]:
    """The registry as far as it is valid, and the problems as ``file:line: what``."""
    root = root or settings().registry_dir
    known = set(_contract_files() if datasets is None else datasets)
    problems: list[str] = []
    nodes = {node.node_code: node for node in read_rows(root / "nodes.csv", Node, _node, problems)}
    for node in nodes.values():
        expected = PARENT_LEVEL[node.level]
        parent = nodes.get(node.parent_code)
        if (parent.level if parent else None) != expected or (expected is None and node.parent_code):
            problems.append(
                f"{shown_path(root / 'nodes.csv')}: {node.node_code}: the parent {node.parent_code!r} of a {node.level}"
                f" must be {'empty' if expected is None else 'a known ' + expected}"
            )

    def provision(row: dict[str, str]) -> tuple[tuple[str, ...], Provision]:
        return _provision(row, known, nodes)

    def quorum(row: dict[str, str]) -> tuple[tuple[str, ...], Quorum]:
        return _quorum(row, nodes)

    provisions = tuple(read_rows(root / "provisions.csv", Provision, provision, problems))
    quorums = {one.system: one for one in read_rows(root / "quorum.csv", Quorum, quorum, problems)}
    systems = {one.system for one in provisions}
    for system in sorted(systems ^ quorums.keys()):
        missing = "quorum.csv" if system in systems else "provisions.csv"
        problems.append(f"{shown_path(root / missing)}: no line for the system {system}")
    mixed: dict[tuple[str, str], set[str]] = {}
    for one in provisions:
        mixed.setdefault((one.system, one.node_code), set()).add(f"{one.connector} {one.format}".strip())
    for (system, node_code), ways in mixed.items():
        if len(ways) > 1:
            problems.append(
                f"{shown_path(root / 'provisions.csv')}: {system} of node {node_code} has more than one connector:"
                f" {', '.join(sorted(ways))}"
            )
    kept = tuple(one for one in provisions if one.system in quorums)
    figures, expectations = _figures(root, problems)
    return Registry(nodes, kept, quorums, figures, expectations), problems


def _figures(root: Path, problems: list[str]) -> tuple[dict[str, PublishedFigure], dict[str, FigureExpectation]]:
    """The published figures and what is expected of each; none where the registry has no such file."""
    published, expected = root / "published_figures.csv", root / "figure_expectations.csv"
    if not published.exists() and not expected.exists():
        return {}, {}
    figures = {one.figure: one for one in read_rows(published, PublishedFigure, _figure, problems)}

    def expectation(row: dict[str, str]) -> tuple[tuple[str, ...], FigureExpectation]:
        return _expectation(row, figures)

    expectations = {one.figure: one for one in read_rows(expected, FigureExpectation, expectation, problems)}
    if expected.is_file():
        problems += [
            f"{shown_path(expected)}: no line for the figure {name}" for name in figures if name not in expectations
        ]
    return figures, expectations


def _figure(row: dict[str, str]) -> tuple[tuple[str, ...], PublishedFigure]:
    name = row["figure"]
    for key in ("figure", "system", "unit", "statement"):
        if not row[key]:
            raise ValueError(f"{key} of figure {name} is empty")
    if row["rule"] not in RULES and not ROUNDED.fullmatch(row["rule"]):
        raise ValueError(f"unknown rule {row['rule']!r} of figure {name}: known are {', '.join(RULES)}, or rounding")
    try:
        cut_off = date.fromisoformat(row["cut_off"])
    except ValueError:
        raise ValueError(f"cut_off {row['cut_off']!r} of figure {name} is not a date (yyyy-mm-dd)") from None
    value = _decimal(row, "published_value")
    return (name,), PublishedFigure(name, row["system"], value, row["unit"], row["rule"], cut_off, row["statement"])


def _expectation(row: dict[str, str], figures: dict[str, PublishedFigure]) -> tuple[tuple[str, ...], FigureExpectation]:
    name, basis = row["figure"], row["basis"]
    if name not in figures:
        raise ValueError(f"unknown figure {name!r}: it is not in published_figures.csv")
    if basis not in BASES:
        raise ValueError(f"basis {basis!r} of figure {name} is not one of {', '.join(BASES)}")
    value = _decimal(row, "expected_value")
    if basis == "published" and value != figures[name].published_value:
        raise ValueError(
            f"the basis of figure {name} is published, but {value} is not the published {figures[name].published_value}"
        )
    return (name,), FigureExpectation(name, value, cast(Literal["published", "simulated"], basis))


def _decimal(row: dict[str, str], key: str) -> Decimal:
    try:
        value = Decimal(row[key])
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite():
        raise ValueError(f"{key} {row[key]!r} of figure {row['figure']} is not a number")
    return value


def _node(row: dict[str, str]) -> tuple[tuple[str, ...], Node]:
    code = row["node_code"]
    if not re.fullmatch(r"\d{6}", code):
        raise ValueError(f"node_code {code!r} is not a 6-digit GB/T 2260 code")
    if row["level"] not in LEVELS:
        raise ValueError(f"level {row['level']!r} is not one of {', '.join(LEVELS)}")
    for key in ("name", "pool"):
        if not row[key]:
            raise ValueError(f"{key} of node {code} is empty")
    return (code,), Node(code, row["name"], cast(Level, row["level"]), row["parent_code"], row["pool"])


def _provision(row: dict[str, str], datasets: set[str], nodes: dict[str, Node]) -> tuple[tuple[str, ...], Provision]:
    name, node_code = f"{row['system']}.{row['dataset']}", row["node_code"]
    if name not in datasets:
        raise ValueError(f"unknown dataset {name} (node {node_code}): there is no contract of this name")
    if node_code not in nodes:
        raise ValueError(f"unknown node {node_code!r} (dataset {name}): it is not in nodes.csv")
    connector = row["connector"]
    if connector not in FORMATS:
        raise ValueError(f"connector {connector!r} is not one of {', '.join(FORMATS)}")
    if row["format"] not in FORMATS[connector]:
        expected = ", ".join(FORMATS[connector]) or "empty"
        raise ValueError(f"format {row['format']!r} of connector {connector} must be {expected}")
    if row["cadence"] not in CADENCES:
        raise ValueError(f"cadence {row['cadence']!r} is not one of {', '.join(CADENCES)}")
    try:
        valid_from = date.fromisoformat(row["valid_from"])
    except ValueError:
        raise ValueError(f"valid_from {row['valid_from']!r} is not a date (yyyy-mm-dd)") from None
    made = Provision(
        row["system"], row["dataset"], node_code, cast(Connector, connector), row["format"], row["cadence"], valid_from
    )
    return (name, node_code), made


def _quorum(row: dict[str, str], nodes: dict[str, Node]) -> tuple[tuple[str, ...], Quorum]:
    required = tuple(row["required_nodes"].split())
    for code in required:
        if code not in nodes:
            raise ValueError(f"unknown node {code!r} in required_nodes of {row['system']}")
    try:
        share = float(row["min_share"])
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError(f"min_share {row['min_share']!r} is not a rate from 0 to 1")
    return (row["system"],), Quorum(row["system"], required, share)


def read_rows(
    file: Path,
    made: type[Row],
    parse: Callable[[dict[str, str]], tuple[tuple[str, ...], Row]],
    problems: list[str],
) -> Iterator[Row]:
    """Rows of a CSV file whose header is the fields of ``made``; problems get file and line.

    ``parse``: a row's key, of which there may be one, and its value; ValueError says what is wrong with it.
    """
    shown = shown_path(file)
    header = [one.name for one in fields(made)]  # type: ignore[arg-type]
    if not file.is_file():
        problems.append(f"{shown}: missing")
        return
    seen: set[tuple[str, ...]] = set()
    with file.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        if reader.fieldnames != header:
            problems.append(f"{shown}:1: the header must be {','.join(header)}")
            return
        for row in reader:
            where = f"{shown}:{reader.line_num}"
            if None in row or None in row.values():
                problems.append(f"{where}: {len(header)} fields expected")
                continue
            try:
                key, value = parse(row)
            except ValueError as error:
                problems.append(f"{where}: {error}")
                continue
            if key in seen:
                problems.append(f"{where}: {' of node '.join(key)} stands here twice")
                continue
            seen.add(key)
            yield value


def _contract_files() -> set[str]:
    return {f"{file.parent.name}.{file.stem}" for file in settings().contracts_dir.glob("*/*.yaml")}


def shown_path(file: Path) -> str:
    """A file's path for a message."""
    home = settings().home
    return str(file.relative_to(home)) if file.is_relative_to(home) else str(file)
