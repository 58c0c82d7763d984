"""What a dataset's source table looks like: the part of a system that servers and books need to know.

A system is a tuple of tables. The servers, the books and the truth work on these descriptions alone, so that
another system (supervision, hotline, sunshine) is added with its own tables and its own generator.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Table:
    """One source table.

    ``columns`` maps national names to Chinese names, in order of delivery. ``price`` is the amount column, if any.
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


@dataclass(frozen=True)
class System:
    """One source system: its name, and its tables with parents before children."""

    name: str
    tables: tuple[Table, ...]

    def table(self, dataset: str) -> Table:
        return next(table for table in self.tables if table.dataset == dataset)

    @property
    def datasets(self) -> tuple[str, ...]:
        return tuple(table.dataset for table in self.tables)
