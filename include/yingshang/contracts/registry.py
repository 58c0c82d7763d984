"""The fleet: which nodes there are, what each has to provide and how, and how many make a night.

Read from ``include/registry``: nodes.csv, provisions.csv, quorum.csv. Onboarding a county is a diff there and a
secret named :meth:`Provision.conn_id`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import date
from functools import cached_property
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
class Registry:
    """nodes by code, provisions in file order, quorum by system."""

    nodes: dict[str, Node]
    provisions: tuple[Provision, ...]
    quorum: dict[str, Quorum]

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
    registry, problems = read_registry(root, datasets=datasets)
    if problems:
        raise RegistryError("\n".join(problems))
    return registry


def read_registry(root: Path | None = None, *, datasets: Iterable[str] | None = None) -> tuple[Registry, list[str]]:
    """The registry as far as it is valid, and the problems as ``file:line: what``."""
    root = root or settings().registry_dir
    known = set(_contract_files() if datasets is None else datasets)
    problems: list[str] = []
    nodes = {node.node_code: node for node in _read(root / "nodes.csv", Node, _node, problems)}
    for node in nodes.values():
        expected = PARENT_LEVEL[node.level]
        parent = nodes.get(node.parent_code)
        if (parent.level if parent else None) != expected or (expected is None and node.parent_code):
            problems.append(
                f"{_shown(root / 'nodes.csv')}: {node.node_code}: the parent {node.parent_code!r} of a {node.level}"
                f" must be {'empty' if expected is None else 'a known ' + expected}"
            )

    def provision(row: dict[str, str]) -> tuple[tuple[str, ...], Provision]:
        return _provision(row, known, nodes)

    def quorum(row: dict[str, str]) -> tuple[tuple[str, ...], Quorum]:
        return _quorum(row, nodes)

    provisions = tuple(_read(root / "provisions.csv", Provision, provision, problems))
    quorums = {one.system: one for one in _read(root / "quorum.csv", Quorum, quorum, problems)}
    systems = {one.system for one in provisions}
    for system in sorted(systems ^ quorums.keys()):
        missing = "quorum.csv" if system in systems else "provisions.csv"
        problems.append(f"{_shown(root / missing)}: no line for the system {system}")
    mixed: dict[tuple[str, str], set[str]] = {}
    for one in provisions:
        mixed.setdefault((one.system, one.node_code), set()).add(f"{one.connector} {one.format}".strip())
    for (system, node_code), ways in mixed.items():
        if len(ways) > 1:
            problems.append(
                f"{_shown(root / 'provisions.csv')}: {system} of node {node_code} has more than one connector:"
                f" {', '.join(sorted(ways))}"
            )
    kept = tuple(one for one in provisions if one.system in quorums)
    return Registry(nodes, kept, quorums), problems


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


def _read(
    file: Path,
    made: type[Row],
    parse: Callable[[dict[str, str]], tuple[tuple[str, ...], Row]],
    problems: list[str],
) -> Iterator[Row]:
    """Rows of a CSV file whose header is the fields of ``made``; problems get file and line."""
    shown = _shown(file)
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


def _shown(file: Path) -> str:
    home = settings().home
    return str(file.relative_to(home)) if file.is_relative_to(home) else str(file)
