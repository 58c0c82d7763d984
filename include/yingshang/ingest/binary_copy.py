"""Record batches as the bytes of COPY ... FROM STDIN (FORMAT BINARY), whole columns at a time.

A row is the number of its fields, and for each field its length (-1 for null) and its bytes, all big-endian. Lengths
and values are columns of bytes; one Arrow kernel joins them row by row into a single buffer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TypeAlias

    import numpy as np
    import pyarrow as pa

    Matrix: TypeAlias = np.ndarray[Any, Any]
    Flags: TypeAlias = np.ndarray[Any, Any]

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
NEGATIVE = 0x4000
DIGITS, SCALE = 6, 6
UNITS = (10**12, 10**8, 10**4, 1)
"""A numeric is sent as six digits of base 10,000, four before the point; the server drops zeros at both ends."""


def encode(batch: pa.RecordBatch) -> memoryview:
    """The rows of a batch of large_string, large_binary, int64 and decimal128(20, 6), without HEADER, TRAILER.

    Fields that are equally long in all rows of the batch (codes, times, numbers) stand side by side in one matrix, so
    that few pieces are left to join.

    Raises:
        TypeError: a column has another type.
    """
    import pyarrow.compute as pc

    rows = batch.num_rows
    if not rows:
        return memoryview(b"")
    pieces = _Pieces(rows)
    pieces.constant(batch.num_columns.to_bytes(2, "big"))
    for column in batch.columns:
        _add(pieces, column)
    joined = pc.binary_join_element_wise(*pieces.arrays(), _scalar(b""), null_handling="replace", null_replacement=b"")
    offsets, data = joined.buffers()[1:3]
    return memoryview(data)[: memoryview(offsets).cast("q")[rows]]


class _Pieces:
    """What a row is joined of: arrays of bytes, and between them matrices of fields of one width."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._arrays: list[pa.Array] = []
        self._side_by_side: list[Matrix] = []

    def constant(self, value: bytes) -> None:
        import numpy as np

        self.matrix(np.broadcast_to(np.frombuffer(value, dtype=np.uint8), (self._rows, len(value))))

    def matrix(self, matrix: Matrix) -> None:
        self._side_by_side.append(matrix)

    def array(self, array: pa.Array) -> None:
        self._flush()
        self._arrays.append(array)

    def arrays(self) -> list[pa.Array]:
        self._flush()
        return self._arrays

    def _flush(self) -> None:
        import numpy as np

        if self._side_by_side:
            self._arrays.append(_array_of(np.hstack(self._side_by_side)))
            self._side_by_side = []


def _add(pieces: _Pieces, column: pa.Array) -> None:
    import pyarrow as pa

    nulls = _nulls(column)
    if pa.types.is_large_string(column.type) or pa.types.is_large_binary(column.type):
        _add_text(pieces, column, nulls)
        return
    if pa.types.is_int64(column.type):
        values = _integers(column)
    elif pa.types.is_decimal128(column.type) and column.type.scale == SCALE:
        values = _decimals(column)
    else:
        raise TypeError(f"no binary COPY of {column.type}")
    if nulls is None:
        pieces.constant(values.shape[1].to_bytes(4, "big"))
        pieces.matrix(values)
    else:
        pieces.array(_with_nulls(values, nulls))


def _add_text(pieces: _Pieces, column: pa.Array, nulls: Flags | None) -> None:
    import numpy as np

    offsets = np.frombuffer(column.buffers()[1], dtype=np.int64)[column.offset : column.offset + len(column) + 1]
    lengths = np.diff(offsets)
    width = int(lengths[0])
    if nulls is None and (lengths == width).all():
        pieces.constant(width.to_bytes(4, "big"))
        if width:
            data = np.frombuffer(column.buffers()[2], dtype=np.uint8)[offsets[0] : offsets[-1]]
            pieces.matrix(data.reshape(-1, width))
        return
    if nulls is not None:
        lengths[nulls] = -1
    pieces.matrix(lengths.astype(">i4").view(np.uint8).reshape(-1, 4))
    pieces.array(_bytes_of(column))


def _integers(column: pa.Array) -> Matrix:
    import numpy as np

    values = np.frombuffer(column.buffers()[1], dtype=np.int64)[column.offset : column.offset + len(column)]
    return values.astype(">i8").view(np.uint8).reshape(-1, 8)


def _decimals(column: pa.Array) -> Matrix:
    import numpy as np

    halves = np.frombuffer(column.buffers()[1], dtype=np.int64).reshape(-1, 2)
    halves = halves[column.offset : column.offset + len(column)]
    low, high = halves[:, 0], halves[:, 1]
    fields = np.empty((len(low), DIGITS + 4), dtype=np.uint16)
    whole, part = np.divmod(np.abs(low).view(np.uint64), np.uint64(10**SCALE))
    fields[:, 0] = DIGITS
    fields[:, 1] = 3  # weight of the first digit: 10,000 ** 3
    fields[:, 2] = np.where(high < 0, NEGATIVE, 0)
    fields[:, 3] = SCALE
    for place, unit in enumerate(UNITS):
        fields[:, 4 + place] = whole // unit % 10_000
    fields[:, 8] = part // 100
    fields[:, 9] = part % 100 * 100
    for at in np.flatnonzero(high != low >> 63):  # beyond 64 bits: about nine trillion
        magnitude = abs((int(high[at]) << 64) + (int(low[at]) & 0xFFFF_FFFF_FFFF_FFFF))
        whole_one, part_one = divmod(magnitude, 10**SCALE)
        fields[at, 4:8] = [whole_one // unit % 10_000 for unit in UNITS]
        fields[at, 8:] = (part_one // 100, part_one % 100 * 100)
    return fields.astype(">u2").view(np.uint8)


def _with_nulls(values: Matrix, nulls: Flags) -> pa.Array:
    """Length and bytes of each value; of a null its length, -1, alone."""
    import numpy as np

    cells = np.empty((len(values), 4 + values.shape[1]), dtype=np.uint8)
    cells[:, :4] = np.frombuffer(values.shape[1].to_bytes(4, "big"), dtype=np.uint8)
    cells[:, 4:] = values
    cells[nulls, :4] = 255
    kept = np.ones(cells.shape, dtype=bool)
    kept[nulls, 4:] = False
    lengths = np.where(nulls, 4, cells.shape[1])
    return _binary_array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), cells[kept])


def _nulls(column: pa.Array) -> Flags | None:
    """Which values are null; None when none is."""
    import numpy as np

    if not column.null_count:
        return None
    bits = np.frombuffer(column.buffers()[0], dtype=np.uint8)
    valid = np.unpackbits(bits, bitorder="little")[column.offset : column.offset + len(column)]
    nulls: Flags = valid == 0
    return nulls


def _array_of(matrix: Matrix) -> pa.Array:
    import numpy as np

    return _binary_array(np.arange(len(matrix) + 1, dtype=np.int64) * matrix.shape[1], matrix)


def _bytes_of(column: pa.Array) -> pa.Array:
    import pyarrow as pa

    return pa.Array.from_buffers(
        pa.large_binary(), len(column), column.buffers(), null_count=column.null_count, offset=column.offset
    )


def _binary_array(offsets: Matrix, data: Matrix) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(data).reshape(-1))]
    return pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers, null_count=0)


def _scalar(value: bytes) -> Any:
    """A scalar made without ``pa.scalar`` or ``pa.array``: they import pandas (1 s, 90 MB)."""
    import numpy as np

    return _binary_array(np.array([0, len(value)], dtype=np.int64), np.frombuffer(value, dtype=np.uint8))[0]
