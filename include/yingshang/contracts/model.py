"""What a contract says, as values. Made by :mod:`yingshang.contracts.odcs` from the YAML files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["string", "integer", "decimal", "time"]

SQL_TYPES: dict[Kind, str] = {
    "string": "text",
    "integer": "bigint",
    "decimal": "numeric(20,6)",
    "time": "text",
}
"""Type of a column in raw by kind. Times stay exactly as delivered; staging casts them."""

DECIMAL_PRECISION, DECIMAL_SCALE = 20, 6

FREE_TEXT = "free_text"
"""Class of a citizen's own words: only how many characters there are is taken along, as a whole number."""

LOAD_COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("_batch_id", "bigint", "Batch that delivered the row (ops.batch)."),
    ("_row", "bigint", "Number of the row in its batch and landed file, from 1."),
    ("_digest", "bytea", "128-bit digest of the delivered values, personal columns left out."),
)
"""What the load adds to a contract's columns in raw: name, type, description. Never null."""


@dataclass(frozen=True)
class Column:
    """One column of a source dataset: what it means and what a value must be to be loaded.

    ``max_length`` (characters) holds for the whole value as delivered; ``pattern`` (whole-value, the syntax
    that Python and Rust regular expressions share) and ``allowed`` hold for each element when ``multi``, the
    separator, is set. ``known`` are the codes with a meaning: another one is loaded, and warned of by the
    landing gate; with ``known_length`` only so many first characters are compared. ``not_after_clock``: a time after
    the source's own clock is refused, ``clock_tolerance`` beyond it. ``unit`` is a unit or the name of the column that
    holds it.
    """

    name: str
    business_name: str
    description: str
    kind: Kind
    required: bool
    max_length: int | None = None
    pattern: str | None = None
    allowed: tuple[str, ...] | None = None
    known: tuple[str, ...] | None = None
    known_length: int | None = None
    minimum: int | float | None = None
    maximum: int | float | None = None
    time_formats: tuple[str, ...] = ()
    not_after_clock: bool = False
    clock_tolerance: timedelta = timedelta(0)
    multi: str | None = None
    pii: str | None = None
    classification: str = "public"
    unit: str | None = None

    @property
    def raw_name(self) -> str:
        """Name of the column in raw: the national name in lower case; ``<name>_length`` of a free text."""
        return f"{self.name.lower()}_length" if self.is_free_text else self.name.lower()

    @property
    def is_free_text(self) -> bool:
        """Whether only the length of the value lands."""
        return self.pii == FREE_TEXT

    @property
    def is_token(self) -> bool:
        """Whether the value is a direct identifier of a person, of which a keyed token lands."""
        return self.pii is not None and not self.is_free_text

    @property
    def sql_type(self) -> str:
        """Type of the column in raw."""
        return SQL_TYPES["integer" if self.is_free_text else self.kind]

    @property
    def comment(self) -> str:
        """What the column holds in raw: Chinese name, description, unit, whether it is a token."""
        unit = f" Unit: {self.unit}." if self.unit else ""
        held = " Holds a keyed token, not the value." if self.is_token else ""
        held = " Holds the number of characters, not the text." if self.is_free_text else held
        return f"{self.business_name}. {self.description}{unit}{held}"


@dataclass(frozen=True)
class NodeScope:
    """Characters ``start`` .. ``start + length - 1`` (from 1) of ``column`` must be the node's own code.

    ``length`` None: they lie within the node, that is, begin there with its significant digits (21 of the province,
    four of a city, six of a county).
    """

    column: str
    start: int
    length: int | None

    def code(self, node_code: str) -> str:
        """What stands there in a row of this node."""
        return significant_digits(node_code) if self.length is None else node_code


def significant_digits(node_code: str) -> str:
    """A division's code without the pairs of zeros at its end: what the codes of all within it begin with."""
    digits = node_code
    while digits.endswith("00") and len(digits) % 2 == 0:
        digits = digits[:-2]
    return digits


@dataclass(frozen=True)
class RowRule:
    """A comparison of two columns of one row, ``left operator right``. A row that lacks one of them keeps it."""

    left: str
    operator: Literal["<", "<=", "=", ">=", ">"]
    right: str

    def __str__(self) -> str:
        return f"{self.left}{self.operator}{self.right}"


@dataclass(frozen=True)
class Contract:
    """One source dataset. Column names are national names in upper case."""

    system: str
    dataset: str
    table: str
    version: str
    business_name: str
    description: str
    grain: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    cursor: str
    overlap: timedelta
    delete_column: str
    delete_values: tuple[str, ...]
    reject_limit: float
    reject_floor: int
    node_scopes: tuple[NodeScope, ...]
    sensitivity: str
    owner: str
    row_rules: tuple[RowRule, ...] = ()

    @property
    def name(self) -> str:
        """``trading.lot``"""
        return f"{self.system}.{self.dataset}"

    @property
    def raw_table(self) -> str:
        """Table in schema raw: ``trading__lot``"""
        return f"{self.system}__{self.dataset}"

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @cached_property
    def raw_names(self) -> tuple[str, ...]:
        return tuple(column.raw_name for column in self.columns)

    @cached_property
    def personal_columns(self) -> tuple[str, ...]:
        """Columns with direct identifiers of persons: tokens before landing, and no part of a row's digest."""
        return tuple(column.name for column in self.columns if column.is_token)

    @cached_property
    def free_text_columns(self) -> tuple[str, ...]:
        """Columns with citizens' own words, of which only the length lands."""
        return tuple(column.name for column in self.columns if column.is_free_text)

    @cached_property
    def is_public(self) -> bool:
        """Whether anybody may see what lands of it. ``personal`` leaves open what the columns beside persons' are."""
        if self.sensitivity != "personal":
            return self.sensitivity == "public"
        return all(column.classification == "public" for column in self.columns if column.pii is None)

    def column(self, name: str) -> Column:
        """The column of this national name. Raises KeyError."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    @cached_property
    def arrow_schema(self) -> pa.Schema:
        """The raw columns in contract order, without those that the load adds (``_batch_id`` ...)."""
        import pyarrow as pa

        types: dict[Kind, Any] = {
            "string": pa.string(),
            "integer": pa.int64(),
            "decimal": pa.decimal128(DECIMAL_PRECISION, DECIMAL_SCALE),
            "time": pa.string(),
        }
        return pa.schema(
            [
                pa.field(column.raw_name, types["integer" if column.is_free_text else column.kind])
                for column in self.columns
            ]
        )
