"""Columns on their way out: PostgreSQL's types as Arrow's, and as text that a spreadsheet takes for nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql

from yingshang.errors import BuildError

if TYPE_CHECKING:
    import pyarrow as pa

OFFSET = "+08:00"
"""Shanghai's offset since 1991; no mart is older."""
FORMULA = r"^[=+\-@\t\r]"
"""What spreadsheets take for the beginning of a formula (OWASP: CSV injection)."""
NUMERIC = re.compile(r"numeric(?:\((\d+),(\d+)\))?")
FRICTIONLESS = {
    "text": "string", "character varying": "string", "jsonb": "string", "uuid": "string", "date": "date",
    "timestamp with time zone": "datetime", "boolean": "boolean", "smallint": "integer", "integer": "integer",
    "bigint": "integer", "double precision": "number", "real": "number",
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column of a mart; ``type`` as PostgreSQL writes it, ``is_readable`` by the role of the export."""

    name: str
    type: str
    comment: str = ""
    is_readable: bool = True

    @property
    def frictionless(self) -> str:
        """Its type in a table schema. Raises BuildError for a type that marts have not had so far."""
        found = "number" if NUMERIC.fullmatch(self.type) else FRICTIONLESS.get(self.type)
        if found is None:
            raise BuildError(f"column {self.name} has the type {self.type}, which an export can't write yet")
        return found

    @property
    def arrow(self) -> pa.DataType:
        """Its type in Parquet."""
        import pyarrow as pa

        if numeric := NUMERIC.fullmatch(self.type):
            return pa.decimal128(int(numeric[1] or 38), int(numeric[2] or 10))
        match self.frictionless, self.type:
            case "string", _:
                return pa.string()
            case "date", _:
                return pa.date32()
            case "datetime", _:
                return pa.timestamp("us", tz="UTC")
            case "boolean", _:
                return pa.bool_()
            case "integer", kind:
                return {"smallint": pa.int16(), "integer": pa.int32()}.get(kind, pa.int64())
            case _:
                return pa.float64()

    @property
    def csv_type(self) -> pa.DataType:
        """Its type in CSV: times are written as text with their offset."""
        import pyarrow as pa

        return pa.string() if self.frictionless == "datetime" else self.arrow

    @property
    def field(self) -> pa.Field:
        import pyarrow as pa

        return pa.field(self.name, self.arrow, metadata={"description": self.comment} if self.comment else None)


def select_of(mart: str, columns: Sequence[Column]) -> str:
    """The query of a mart's exported columns, in the mart's own order of rows."""
    names = sql.SQL(", ").join(
        sql.SQL("{0}::text as {0}" if one.type in ("jsonb", "uuid") else "{0}").format(sql.Identifier(one.name))
        for one in columns
    )
    return sql.SQL("select {} from {}").format(names, sql.Identifier("marts", mart)).as_string()


def parquet_batch(batch: pa.RecordBatch, columns: Sequence[Column]) -> pa.RecordBatch:
    """A batch as PostgreSQL sends it, in the types of the Parquet file."""
    import pyarrow as pa

    arrays = [_typed(batch.column(number), one) for number, one in enumerate(columns)]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([one.field for one in columns]))


def csv_batch(batch: pa.RecordBatch, columns: Sequence[Column]) -> pa.RecordBatch:
    """A typed batch as it stands in CSV: no text is a formula, times carry their offset."""
    import pyarrow as pa
    import pyarrow.compute as pc

    arrays: list[Any] = []
    for number, one in enumerate(columns):
        array = batch.column(number)
        if one.frictionless == "string":
            array = pc.if_else(
                pc.match_substring_regex(array, FORMULA), pc.binary_join_element_wise("'", array, ""), array
            )
        elif one.frictionless == "datetime":
            local = pc.strftime(array.cast(pa.timestamp("us", tz=OFFSET)), format="%Y-%m-%dT%H:%M:%S")
            array = pc.binary_join_element_wise(pc.replace_substring_regex(local, r"\.0+$", ""), OFFSET, "")
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, names=[one.name for one in columns])


def _typed(array: Any, column: Column) -> Any:
    storage = getattr(array, "storage", array)  # numeric comes as an opaque string
    return storage if storage.type == column.arrow else storage.cast(column.arrow)
