"""Record batches as the bytes of COPY ... FROM STDIN (FORMAT BINARY), whole columns at a time.

A row is the number of its fields, and for each field its length (-1 for null) and its bytes, all big-endian. Lengths
and values are columns of bytes; one Arrow kernel joins them row by row into a single buffer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"
NEGATIVE = 0x4000
DIGITS, SCALE = 6, 6
"""A numeric is sent as six digits of base 10,000, four before the point; the server drops zeros at both ends."""


def encode(batch: pa.RecordBatch) -> memoryview:
    """The rows of a batch of large_string, large_binary, int64 and decimal128(20, 6), without HEADER, TRAILER.

    Raises:
        TypeError: a column has another type.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = batch.num_rows
    if not rows:
        return memoryview(b"")
    pieces: list[pa.Array] = []
    constant = batch.num_columns.to_bytes(2, "big")
    for column in batch.columns:
        if pa.types.is_large_string(column.type) or pa.types.is_large_binary(column.type):
            pieces += [_with_prefix(constant, _lengths(column)), _bytes_of(column)]
        elif pa.types.is_int64(column.type):
            pieces.append(_with_prefix(constant, _integers(column)))
        elif pa.types.is_decimal128(column.type) and column.type.scale == SCALE:
            pieces.append(_with_prefix(constant, _decimals(column)))
        else:
            raise TypeError(f"no binary COPY of {column.type}")
        constant = b""
    joined = pc.binary_join_element_wise(*pieces, _scalar(b""), null_handling="replace", null_replacement=b"")
    offsets, data = joined.buffers()[1:3]
    size = memoryview(offsets).cast("q")[rows]
    return memoryview(data)[:size]


def _with_prefix(constant: bytes, cells: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]) -> pa.Array:
    """Cells of one width, each row's bytes cut to 4 (a null) where ``nulls`` says so, after a constant."""
    import numpy as np

    matrix, nulls = cells
    if constant:
        prefix = np.frombuffer(constant, dtype=np.uint8)
        matrix = np.hstack([np.broadcast_to(prefix, (len(matrix), len(prefix))), matrix])
    width = matrix.shape[1]
    if nulls is None or width == len(constant) + 4:
        return _binary_array(np.arange(len(matrix) + 1, dtype=np.int64) * width, matrix)
    kept = np.ones(matrix.shape, dtype=bool)
    kept[nulls, len(constant) + 4 :] = False
    lengths = np.where(nulls, len(constant) + 4, width)
    return _binary_array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), matrix[kept])


def _lengths(column: pa.Array) -> tuple[np.ndarray[Any, Any], None]:
    """Lengths of texts as int32; -1 for nulls."""
    import numpy as np

    offsets = np.frombuffer(column.buffers()[1], dtype=np.int64)[column.offset : column.offset + len(column) + 1]
    lengths = np.diff(offsets)
    nulls = _nulls(column)
    if nulls is not None:
        lengths[nulls] = -1
    return lengths.astype(">i4").view(np.uint8).reshape(-1, 4), None


def _integers(column: pa.Array) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
    import numpy as np

    values = np.frombuffer(column.buffers()[1], dtype=np.int64)[column.offset : column.offset + len(column)]
    nulls = _nulls(column)
    matrix = np.empty((len(values), 12), dtype=np.uint8)
    matrix[:, :4] = (0, 0, 0, 8)
    matrix[:, 4:] = values.astype(">i8").view(np.uint8).reshape(-1, 8)
    return _null_lengths(matrix, nulls), nulls


def _decimals(column: pa.Array) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
    import numpy as np

    halves = np.frombuffer(column.buffers()[1], dtype=np.int64).reshape(-1, 2)[
        column.offset : column.offset + len(column)
    ]
    low, high = halves[:, 0], halves[:, 1]
    nulls = _nulls(column)
    fields = np.empty((len(low), DIGITS + 4), dtype=np.uint16)
    negative = high < 0
    whole, part = np.divmod(np.abs(low), 10**SCALE)
    fields[:, 0] = DIGITS
    fields[:, 1] = 3  # weight of the first digit: 10,000 ** 3
    fields[:, 2] = np.where(negative, NEGATIVE, 0)
    fields[:, 3] = SCALE
    for place, unit in enumerate((10**12, 10**8, 10**4, 1)):
        fields[:, 4 + place] = whole // unit % 10_000
    fields[:, 8] = part // 100
    fields[:, 9] = part % 100 * 100
    beyond = (high != low >> 63) | (low == np.iinfo(np.int64).min)  # no magnitude in 64 bits: about nine trillion
    for at in np.flatnonzero(beyond):
        magnitude = abs((int(high[at]) << 64) + (int(low[at]) & 0xFFFF_FFFF_FFFF_FFFF))
        whole_one, part_one = divmod(magnitude, 10**SCALE)
        fields[at, 4:8] = [whole_one // unit % 10_000 for unit in (10**12, 10**8, 10**4, 1)]
        fields[at, 8:] = (part_one // 100, part_one % 100 * 100)
    matrix = np.empty((len(low), 4 + 2 * fields.shape[1]), dtype=np.uint8)
    matrix[:, :4] = (0, 0, 0, 2 * fields.shape[1])
    matrix[:, 4:] = fields.astype(">u2").view(np.uint8)
    return _null_lengths(matrix, nulls), nulls


def _null_lengths(matrix: np.ndarray[Any, Any], nulls: np.ndarray[Any, Any] | None) -> np.ndarray[Any, Any]:
    if nulls is not None:
        matrix[nulls, :4] = 255
    return matrix


def _nulls(column: pa.Array) -> np.ndarray[Any, Any] | None:
    """Which values are null; None when none is."""
    import numpy as np

    if not column.null_count:
        return None
    bits = np.frombuffer(column.buffers()[0], dtype=np.uint8)
    valid = np.unpackbits(bits, bitorder="little")[column.offset : column.offset + len(column)]
    nulls: np.ndarray[Any, Any] = valid == 0
    return nulls


def _bytes_of(column: pa.Array) -> pa.Array:
    import pyarrow as pa

    return pa.Array.from_buffers(
        pa.large_binary(), len(column), column.buffers(), null_count=column.null_count, offset=column.offset
    )


def _binary_array(offsets: np.ndarray[Any, Any], data: np.ndarray[Any, Any]) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(data).reshape(-1))]
    return pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers, null_count=0)


def _scalar(value: bytes) -> Any:
    """A scalar made without ``pa.scalar`` or ``pa.array``: they import pandas (1 s, 90 MB)."""
    import numpy as np

    return _binary_array(np.array([0, len(value)], dtype=np.int64), np.frombuffer(value, dtype=np.uint8))[0]
