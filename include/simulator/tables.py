"""What a dataset's source table looks like: the part of a system that servers and books need to know.

A system is a tuple of tables and the nodes that run it. The servers, the books and the truth work on these
descriptions alone, so that a system is added with its own tables and its own generator (:mod:`simulator.source`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from simulator.fleet import Connector, Level, Node

EVERY_LEVEL: tuple[Level, ...] = ("province", "city", "county")


def as_trading(node: Node) -> Connector | None:
    """Every node, by the connector that it has for trading."""
    return node.connector


@dataclass(frozen=True)
class Table:
    """One source table.

    ``columns`` maps national names to Chinese names, in order of delivery. ``price`` is the amount column, if any;
    ``integers`` are whole numbers. Both are numbers in PostgreSQL sources and text elsewhere. ``event`` is the column
    of the time at which the thing happened. ``levels``: the nodes of the system that have the table.
    """

    dataset: str
    name: str
    chinese: str
    columns: dict[str, str] = field(hash=False)
    key: tuple[str, ...]
    event: str
    price: str | None = None
    cursor: str = "DATA_TIMESTAMP"
    deleted: str = "IS_DELETE"
    integers: tuple[str, ...] = ()
    levels: tuple[Level, ...] = EVERY_LEVEL


@dataclass(frozen=True)
class System:
    """One source system: its name, its tables with parents before children, and how each node delivers them.

    ``connector`` tells by which connector a node (as :func:`simulator.fleet.all_nodes` has it) runs the system, None
    when it does not run it.
    """

    name: str
    tables: tuple[Table, ...]
    connector: Callable[[Node], Connector | None] = as_trading

    def table(self, dataset: str) -> Table:
        return next(table for table in self.tables if table.dataset == dataset)

    def tables_at(self, node: Node) -> tuple[Table, ...]:
        """The tables that a node has."""
        return tuple(table for table in self.tables if node.level in table.levels)

    @property
    def datasets(self) -> tuple[str, ...]:
        return tuple(table.dataset for table in self.tables)
