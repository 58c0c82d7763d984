"""Check characters of the identifiers, for whole columns at a time.

All functions take arrays of equally long ASCII strings (numpy ``S`` or Python strings) and return the strings with
their check character. Rules: ISO/IEC 7064 MOD 37-2 (unified deal code), GB 32100-2015 (unified social credit code),
GB 11714-1997 (organisation code inside it), GB 11643-1999 (resident identity number, ISO 7064 MOD 11-2).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

ALPHANUMERIC = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MOD_37_2 = ALPHANUMERIC + b"*"
USCC = b"0123456789ABCDEFGHJKLMNPQRTUWXY"  # without I O S V Z
MOD_11_2 = b"10X98765432"

Bytes = npt.NDArray[np.bytes_]


def with_mod_37_2(bodies: Sequence[str] | Bytes) -> Bytes:
    """Append the MOD 37-2 check character (0-9, A-Z or *)."""
    matrix = _matrix(bodies)
    width = matrix.shape[1]
    weights = np.array([pow(2, width - i, 37) for i in range(width)])
    remainder = (_values(matrix, MOD_37_2) @ weights) % 37
    return _append(matrix, MOD_37_2, (1 - remainder) % 37)


def with_uscc_check(bodies: Sequence[str] | Bytes) -> Bytes:
    """Append the check character to 17 characters of a unified social credit code."""
    matrix = _matrix(bodies)
    weights = np.array([pow(3, i, 31) for i in range(matrix.shape[1])])
    return _append(matrix, USCC, (31 - (_values(matrix, USCC) @ weights) % 31) % 31)


def with_organisation_check(bodies: Sequence[str] | Bytes) -> Bytes:
    """Append the check character to 8 characters of an organisation code."""
    matrix = _matrix(bodies)
    remainder = 11 - (_values(matrix, ALPHANUMERIC) @ np.array([3, 7, 9, 10, 5, 8, 4, 2])) % 11
    return _append(matrix, b"0123456789X0", remainder)


def with_resident_check(bodies: Sequence[str] | Bytes) -> Bytes:
    """Append the check character to 17 digits of a resident identity number."""
    matrix = _matrix(bodies)
    weights = np.array([pow(2, 17 - i, 11) for i in range(17)])
    return _append(matrix, MOD_11_2, (_values(matrix, ALPHANUMERIC) @ weights) % 11)


def _matrix(bodies: Sequence[str] | Bytes) -> npt.NDArray[np.uint8]:
    array = np.asarray(bodies, dtype=np.bytes_)
    if array.size == 0:
        return np.zeros((0, max(array.dtype.itemsize, 1)), dtype=np.uint8)
    return np.ascontiguousarray(array).view(np.uint8).reshape(len(array), array.dtype.itemsize)


def _values(matrix: npt.NDArray[np.uint8], alphabet: bytes) -> npt.NDArray[np.int64]:
    table = np.full(256, -1, dtype=np.int64)
    table[np.frombuffer(alphabet, dtype=np.uint8)] = np.arange(len(alphabet))
    values = table[matrix]
    if values.size and values.min() < 0:
        raise ValueError("a character is not in the alphabet of this code")
    return values


def _append(matrix: npt.NDArray[np.uint8], alphabet: bytes, check: npt.NDArray[np.int64]) -> Bytes:
    letters = np.frombuffer(alphabet, dtype=np.uint8)[check]
    whole = np.concatenate([matrix, letters[:, None]], axis=1)
    return np.ascontiguousarray(whole).view(f"S{whole.shape[1]}").reshape(-1)
