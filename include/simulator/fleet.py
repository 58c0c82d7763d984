"""The simulated fleet: which node runs which source system, and the local habits of each node.

The division codes and names are real (National Bureau of Statistics, June 2023); who runs what is reconstructed.
Local habits (flags 0/1 or F/T, date formats, price units) follow from a node's place in the list, so that they
are the same for every seed and scale.
"""

import csv
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from simulator.tables import System

DATA = Path(__file__).parent / "data"
PROVINCE = "210000"
API_CITIES = ("210200", "210300", "210600", "210800", "211000", "211300")
COUNTY_CONNECTORS = ("postgres",) * 4 + ("csv",) * 3 + ("xlsx",) * 2 + ("xml",)
TINY_CITIES = ("210100", "210200")
TINY_COUNTIES = ("210102", "210106", "210113", "210115", "210202", "210203", "210302", "210303")

Connector = Literal["postgres", "http", "csv", "xlsx", "xml"]
FILE_CONNECTORS = ("csv", "xlsx", "xml")
Level = Literal["province", "city", "county"]


@dataclass(frozen=True)
class Node:
    """One government that runs source systems. ``index`` is its place among all 115, by code.

    A node is seen in one system at a time: ``connector`` and ``schema`` are those of ``system``.
    """

    index: int
    code: str
    name: str
    level: Level
    parent: str
    connector: Connector
    system: str = "trading"

    @property
    def city(self) -> str:
        """The city a county belongs to; the node itself for a city and for the province."""
        return self.parent if self.level == "county" else self.code

    @property
    def database(self) -> str:
        """Front-end exchange database in which the node's tables stand (PostgreSQL and API nodes)."""
        return f"front_{self.city}"

    @property
    def schema(self) -> str:
        if self.level == "county":
            return f"county_{self.code}" + ("" if self.system == "trading" else f"_{self.system}")
        return "exchange" if self.system == "trading" else self.system

    @property
    def login(self) -> str:
        """Name of the node's login, client and connection in this system."""
        return f"{self.system}_{self.code}"

    @property
    def sends_files(self) -> bool:
        return self.connector in FILE_CONNECTORS

    @property
    def flags(self) -> tuple[str, str]:
        """How this node writes false and true."""
        return ("F", "T") if self.index % 3 == 1 else ("0", "1")

    @property
    def short_dates(self) -> Literal["never", "always", "mixed"]:
        """Whether event times are written yyyyMMdd instead of yyyyMMddHHmmss."""
        return ("never", "mixed", "never", "always", "mixed")[self.index % 5]

    @property
    def ten_thousands(self) -> Literal["never", "always", "mixed"]:
        """Whether amounts are written in 万元 (PRICE_UNIT 1)."""
        if self.connector == "xlsx":
            return "always"
        return "mixed" if self.index % 4 == 2 else "never"


@dataclass(frozen=True)
class Fleet:
    """The nodes that take part, in order of their codes."""

    nodes: tuple[Node, ...]

    @cached_property
    def by_code(self) -> dict[str, Node]:
        return {node.code: node for node in self.nodes}

    @cached_property
    def indexes(self) -> list[int]:
        return [node.index for node in self.nodes]

    def of_system(self, system: "System") -> "Fleet":
        """The nodes that run ``system``, each with its connector there."""
        found = [(node, system.connector(node)) for node in self.nodes]
        return Fleet(tuple(replace(n, connector=c, system=system.name) for n, c in found if c is not None))

    @cached_property
    def file_indexes(self) -> list[int]:
        """Places of the nodes that send drops."""
        return [node.index for node in self.nodes if node.sends_files]

    @cached_property
    def queried_indexes(self) -> list[int]:
        """Places of the nodes whose databases or APIs are asked."""
        return [node.index for node in self.nodes if not node.sends_files]

    def of(self, *connectors: str) -> list[Node]:
        return [node for node in self.nodes if node.connector in connectors]

    @cached_property
    def databases(self) -> dict[str, list[Node]]:
        """Front-end databases with the nodes whose tables stand in each."""
        found: dict[str, list[Node]] = {}
        for node in self.of("postgres", "http"):
            found.setdefault(node.database, []).append(node)
        return found


@lru_cache(maxsize=1)
def all_nodes() -> tuple[Node, ...]:
    """The 115 nodes: one province, 14 cities, 100 counties, by code."""
    rows = sorted(read_csv("divisions.csv"), key=lambda row: row["code"])
    counties = [row["code"] for row in rows if row["level"] == "county"]
    connector: dict[str, str] = {code: COUNTY_CONNECTORS[i % 10] for i, code in enumerate(counties)}
    for row in rows:
        if row["level"] != "county":
            connector[row["code"]] = "http" if row["code"] in API_CITIES else "postgres"
    return tuple(
        Node(i, row["code"], row["name"], row["level"], row["parent_code"], connector[row["code"]])  # type: ignore[arg-type]
        for i, row in enumerate(rows)
    )


def fleet(profile: str | None = None) -> Fleet:
    """All 115 nodes, or the 11 of the ``tiny`` profile.

    Raises:
        ValueError: the profile is unknown.
    """
    if profile is None:
        return Fleet(all_nodes())
    if profile != "tiny":
        raise ValueError(f"unknown profile {profile!r}: there is 'tiny', or none for the whole province")
    chosen = {PROVINCE, *TINY_CITIES, *TINY_COUNTIES}
    return Fleet(tuple(node for node in all_nodes() if node.code in chosen))


def read_csv(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
