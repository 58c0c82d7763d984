"""Rows identical to an earlier one of the same batch: found exactly, in bounded memory whatever the batch's size.

A Bloom filter (16 MB) says of most rows that they are new. The few that it has perhaps seen are held back, and compared
at the end with the digests of all rows that went through, which lie in a temporary file. A batch of one frame, as most
are, needs no filter and makes none.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from yingshang.ingest.rows import DIGEST

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

WORDS = 1 << 21
HELD_ROWS = 100_000
SCAN_ROWS = 500_000
KEY = "__key__"


class Deduplicator:
    """Takes frames of landed rows in order, and gives back the rows that are new.

    ``personal``: raw names of token columns. Rows that differ in them only are not identical, though their digests,
    which leave persons out, are.
    """

    def __init__(self, personal: tuple[str, ...] = (), *, words: int = WORDS, held_rows: int = HELD_ROWS) -> None:
        self.duplicates = 0
        self._personal, self._held_limit = personal, held_rows
        self._word_count = words
        self._words: np.ndarray[Any, Any] | None = None
        self._first: np.ndarray[Any, Any] | None = None
        self._passed: IO[bytes] = tempfile.TemporaryFile(prefix="yingshang-digests-")  # noqa: SIM115 - closed by close
        self._held: list[pl.DataFrame] = []
        self._held_rows = 0
        self._spill: IO[bytes] | None = None
        self._spilled = 0

    def close(self) -> None:
        self._passed.close()
        if self._spill is not None:
            self._spill.close()

    def new_rows(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows certainly not seen before. The doubtful ones are held back for :meth:`settle`."""
        import polars as pl

        keyed = self._keyed(frame)
        halves = _halves(keyed[KEY])
        if pl.Series(halves[:, 0]).n_unique() < keyed.height:
            keyed = keyed.filter(keyed[KEY].is_first_distinct())
            self.duplicates += frame.height - keyed.height
            halves = _halves(keyed[KEY])
        doubtful = self._seen(halves)
        if not doubtful.any():
            self._passed.write(halves.tobytes())
            return keyed.drop(KEY)
        mask = pl.Series(doubtful)
        self._hold(keyed.filter(mask))
        self._passed.write(halves[~doubtful].tobytes())
        return keyed.filter(~mask).drop(KEY)

    def settle(self) -> Iterator[pl.DataFrame]:
        """The rows held back that turn out to be new. Call once, after the last frame."""
        import polars as pl

        for held in self._held_frames():
            first = held[KEY].is_first_distinct()
            candidates = held.filter(first)
            known = self._among_passed(_halves(candidates[KEY]))
            new = candidates.filter(~pl.Series(known, dtype=pl.Boolean))
            self.duplicates += held.height - new.height
            if new.height:
                self._passed.seek(0, 2)
                self._passed.write(_halves(new[KEY]).tobytes())
                yield new.drop(KEY)

    def _keyed(self, frame: pl.DataFrame) -> pl.DataFrame:
        import polars as pl
        import polars_hash

        if not self._personal:
            return frame.with_columns(pl.col(DIGEST).alias(KEY))
        whole = polars_hash.hash_rows([pl.col(DIGEST), *(pl.col(name) for name in self._personal)])
        return frame.with_columns(whole.nchash.xxh3_128(return_binary=True, byte_order="big").alias(KEY))

    def _seen(self, halves: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Whether each key may have been seen; afterwards it has."""
        import numpy as np

        if self._first is None:
            self._first = halves
            return np.zeros(len(halves), dtype=bool)
        if self._words is None:
            self._words = np.zeros(self._word_count, dtype=np.uint64)
            self._looked_up(self._words, self._first)
        return self._looked_up(self._words, halves)

    def _looked_up(self, words: np.ndarray[Any, Any], halves: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        import numpy as np

        index = (halves[:, 0] & np.uint64(self._word_count - 1)).astype(np.int64)
        bits, one, six = halves[:, 1], np.uint64(1), np.uint64(63)
        mask = one << (bits & six)
        for shift in (6, 12, 18):
            mask |= one << ((bits >> np.uint64(shift)) & six)
        seen: np.ndarray[Any, Any] = (words[index] & mask) == mask
        np.bitwise_or.at(words, index, mask)
        return seen

    def _hold(self, frame: pl.DataFrame) -> None:
        self._held.append(_compact(frame))
        self._held_rows += frame.height
        if self._held_rows < self._held_limit:
            return
        import polars as pl

        if self._spill is None:
            self._spill = tempfile.TemporaryFile(prefix="yingshang-held-")  # noqa: SIM115 - closed by close
        data = pl.concat(self._held).write_ipc(None).getvalue()
        self._spill.write(len(data).to_bytes(8, "big") + data)
        self._spilled += 1
        self._held, self._held_rows = [], 0

    def _held_frames(self) -> Iterator[pl.DataFrame]:
        import polars as pl

        if self._spill is not None:
            self._spill.seek(0)
            for _ in range(self._spilled):
                size = int.from_bytes(self._spill.read(8), "big")
                yield pl.read_ipc(self._spill.read(size))
        if self._held:
            yield pl.concat(self._held)

    def _among_passed(self, keys: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Whether each key is among those that went through."""
        import numpy as np

        order = np.argsort(keys[:, 0], kind="stable")
        ordered = keys[order]
        found = np.zeros(len(keys), dtype=bool)
        self._passed.seek(0)
        while chunk := self._passed.read(SCAN_ROWS * 16):
            passed = np.frombuffer(chunk, dtype=np.uint64).reshape(-1, 2)
            low = np.searchsorted(ordered[:, 0], passed[:, 0], side="left")
            high = np.searchsorted(ordered[:, 0], passed[:, 0], side="right")
            for at in np.flatnonzero(high > low):
                for place in range(int(low[at]), int(high[at])):
                    if ordered[place, 1] == passed[at, 1]:
                        found[order[place]] = True
        return found


def _compact(frame: pl.DataFrame) -> pl.DataFrame:
    """A copy that keeps nothing else alive: a few filtered rows would hold the buffers of their whole batch."""
    import polars as pl

    copy = pl.from_arrow(frame.to_arrow(compat_level=pl.CompatLevel.oldest()))
    assert isinstance(copy, pl.DataFrame)  # noqa: S101 - of a table
    return copy


def _halves(keys: pl.Series) -> np.ndarray[Any, Any]:
    """16-byte keys as two 64-bit words each."""
    import numpy as np
    import polars as pl

    array = keys.to_arrow(compat_level=pl.CompatLevel.oldest())
    buffer = array.buffers()[2]
    if buffer is None or not len(array):
        return np.empty((0, 2), dtype=np.uint64)
    return np.frombuffer(buffer, dtype=np.uint64, count=2 * len(array), offset=16 * array.offset).reshape(-1, 2)
