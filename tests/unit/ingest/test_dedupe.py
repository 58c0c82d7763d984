"""Identical rows of a batch: found exactly, whatever the filter believes, in bounded memory."""

import hashlib

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from yingshang.ingest.dedupe import Deduplicator


def frame_of(values: list[int], first_row: int, persons: list[int] | None = None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "value": values,
            "person": persons or [0] * len(values),
            "_row": range(first_row, first_row + len(values)),
            "_digest": [hashlib.blake2b(str(value).encode(), digest_size=16).digest() for value in values],
        },
        schema={"value": pl.Int64, "person": pl.Int64, "_row": pl.Int64, "_digest": pl.Binary},
    )


def run(dedupe: Deduplicator, frames: list[pl.DataFrame]) -> pl.DataFrame:
    try:
        kept = [dedupe.new_rows(frame) for frame in frames]
        kept += list(dedupe.settle())
        return pl.concat(kept)
    finally:
        dedupe.close()


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 300), min_size=1, max_size=40), min_size=1, max_size=15),
    st.sampled_from([1, 4, 64, 1 << 12]),
    st.sampled_from([1, 5, 1000]),
)
def test_each_value_is_kept_once_and_every_other_row_is_counted(
    pieces: list[list[int]], words: int, held_rows: int
) -> None:
    """``words`` so few that the filter is nearly always in doubt, ``held_rows`` so few that it spills."""
    frames, first = [], 1
    for piece in pieces:
        frames.append(frame_of(piece, first))
        first += len(piece)
    dedupe = Deduplicator(words=words, held_rows=held_rows)
    kept = run(dedupe, frames)
    everything = [value for piece in pieces for value in piece]
    assert sorted(kept["value"]) == sorted(set(everything))
    assert dedupe.duplicates == len(everything) - kept.height
    assert kept["_row"].n_unique() == kept.height
    firsts = {value: everything.index(value) + 1 for value in set(everything)}
    assert dict(zip(kept["value"], kept["_row"], strict=True)) == firsts


def test_rows_that_differ_in_a_person_only_are_not_identical() -> None:
    dedupe = Deduplicator(("person",))
    kept = run(dedupe, [frame_of([1, 1, 1], 1, [7, 8, 7]), frame_of([1], 4, [8])])
    assert sorted(kept["person"]) == [7, 8]
    assert dedupe.duplicates == 2


def test_many_different_rows_all_pass() -> None:
    dedupe = Deduplicator(words=1 << 12)
    kept = run(dedupe, [frame_of(list(range(start, start + 5000)), start + 1) for start in range(0, 50_000, 5000)])
    assert kept.height == 50_000
    assert dedupe.duplicates == 0
