"""Windows: what a provision is asked for, as a function of the ledger."""

import datetime as dt
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from yingshang.ingest.windows import Window, day_of, next_window
from yingshang.warehouse.ledger import AdmittedWindow, Batch

OVERLAP = dt.timedelta(hours=2)
NIGHT = dt.date(2024, 8, 13)


def recorded(low: str | None, high: str | None, night: dt.date = NIGHT) -> Batch:
    now = dt.datetime.now(dt.UTC)
    return Batch(
        batch_id=1, run_id="r", night=night, system="trading", dataset="lot", node_code="210100", kind="window",
        source_rows=0, raw_rows=0, quarantined_rows=0, duplicate_rows=0, contract_version="1.0.0", started_at=now,
        cursor_low=low, cursor_high=high, loaded_at=now, event=None, seq=None,
    )  # fmt: skip


def admitted(high: str, night: dt.date = NIGHT) -> AdmittedWindow:
    return AdmittedWindow(high, 1, night, has_gap=False)


def test_the_first_read_takes_everything() -> None:
    assert next_window(NIGHT, reached=None, recorded=[], overlap=OVERLAP) == Window("window", None, None)


def test_the_next_window_starts_where_the_last_admitted_one_ended_less_the_overlap() -> None:
    window = next_window(NIGHT, reached=admitted("20240813010000"), recorded=[], overlap=OVERLAP)
    assert (window.kind, window.low, window.high) == ("window", "20240812230000", None)


def test_a_night_read_before_is_read_again_by_its_bounds() -> None:
    window = next_window(
        NIGHT,
        reached=admitted("20240815000000", dt.date(2024, 8, 15)),
        recorded=[recorded(None, None), recorded("20240812230000", "20240813220000"), recorded("1", "2")],
        overlap=OVERLAP,
    )
    assert window == Window("reload", "20240812230000", "20240813220000")
    assert window.end("20240813100000", "20240816000000") == "20240813220000"


def test_a_past_night_without_bounds_is_read_by_its_day() -> None:
    window = next_window(NIGHT, reached=admitted("20240815000000", dt.date(2024, 8, 15)), recorded=[], overlap=OVERLAP)
    assert window == Window("reload", "20240812235959", "20240813235959")


def test_a_day_holds_its_seconds_and_no_other() -> None:
    low, high = day_of(dt.date(2024, 3, 1))
    assert (low, high) == ("20240229235959", "20240301235959")


@pytest.mark.parametrize(
    ("newest", "clock", "reached", "end"),
    [
        ("20240813100000", "20240814000000", None, "20240813100000"),
        ("20240814003000", "20240814000000", None, "20240814000000"),
        (None, "20240814000000", "20240812000000", "20240812000000"),
        ("20240811230000", "20240814000000", "20240812000000", "20240812000000"),
        (None, "20240814000000", None, None),
    ],
)
def test_a_window_ends_at_the_greatest_cursor_but_never_beyond_the_clock(
    newest: str | None, clock: str, reached: str | None, end: str | None
) -> None:
    assert Window("window", "x", None, reached).end(newest, clock) == end


@dataclass
class Source:
    """A living source: rows become visible some time after their cursor, at most the overlap later."""

    rows: list[tuple[dt.datetime, dt.datetime]] = field(default_factory=list)

    def read(self, window: Window, at: dt.datetime) -> set[int]:
        return {
            number
            for number, (cursor, visible) in enumerate(self.rows)
            if visible <= at
            and (window.low is None or f"{cursor:%Y%m%d%H%M%S}" > window.low)
            and (window.high is None or f"{cursor:%Y%m%d%H%M%S}" <= window.high)
        }


START = dt.datetime(2024, 8, 1, tzinfo=dt.UTC)
READ_AT, DAY, SECOND = dt.timedelta(hours=1), dt.timedelta(days=1), dt.timedelta(seconds=1)
moments = st.builds(
    lambda day, before: START + dt.timedelta(days=day, seconds=-before) + READ_AT,
    st.integers(1, 3),
    st.integers(0, 3 * 3600) | st.sampled_from([0, 3600, 7000, 7199]),
)
"""Cursors of the last hours before a reading, where it matters."""
delays = (st.integers(0, 2 * 3600 - 1) | st.sampled_from([0, 3601, 7001, 7199])).map(
    lambda seconds: dt.timedelta(seconds=seconds)
)
fates = st.sampled_from(["admitted", "refused", "not read"])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(moments, delays), max_size=12), st.lists(fates, min_size=1, max_size=4))
@example([(START + READ_AT + DAY, SECOND * 0), (START + READ_AT + DAY - SECOND * 7198, SECOND * 7199)], ["admitted"])
def test_no_row_is_lost_whatever_nights_fail_or_are_refused(
    written: list[tuple[dt.datetime, dt.timedelta]], nights: list[str]
) -> None:
    """Rows committed up to two hours after their cursor, nights missed or refused: the next good night has them all."""
    source = Source([(cursor, cursor + delay) for cursor, delay in written])
    reached: AdmittedWindow | None = None
    arrived: set[int] = set()
    at = START
    for number, fate in enumerate([*nights, "admitted"]):
        at = START + dt.timedelta(days=number + 1) + READ_AT
        night = at.date() - dt.timedelta(days=1)
        if fate == "not read":
            continue
        window = next_window(night, reached=reached, recorded=[], overlap=OVERLAP)
        read = source.read(window, at)
        newest = max((f"{source.rows[one][0]:%Y%m%d%H%M%S}" for one in read), default=None)
        end = window.end(newest, f"{at:%Y%m%d%H%M%S}")
        if fate == "admitted":
            arrived |= read
            reached = admitted(end, night) if end else reached
    assert arrived == {number for number, (_, visible) in enumerate(source.rows) if visible <= at}


def test_a_night_that_found_nothing_finds_nothing_of_later_nights_when_it_is_read_again() -> None:
    again = next_window(NIGHT, reached=None, recorded=[recorded(None, None)], overlap=OVERLAP)
    assert again == Window("reload", None, "20240813235959")
    assert again.end(None, "20240816010000") is None, "a provision that never brought a row begins anew"
    assert again.end("20240813120000", "20240816010000") == "20240813235959"
