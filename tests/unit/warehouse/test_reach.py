"""How far a provision has been admitted: as far as windows cover time without a gap, from the beginning on."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from yingshang.warehouse.ledger import reach_of

NIGHT = date(2024, 8, 13)
FIRST, LAST = 10, 40
Window = tuple[int | None, int]

windows = st.lists(
    st.tuples(st.one_of(st.none(), st.integers(FIRST, LAST)), st.integers(FIRST, LAST)).filter(
        lambda window: window[0] is None or window[0] < window[1]
    ),
    max_size=12,
)


def covered(minute: int, given_windows: list[Window]) -> bool:
    return any((low is None or low < minute) and minute <= high for low, high in given_windows)


@given(windows)
def test_everything_up_to_the_reach_is_covered_and_the_next_minute_is_not(given_windows: list[Window]) -> None:
    rows = [
        (None if low is None else str(low), str(high), number, NIGHT)
        for number, (low, high) in enumerate(given_windows)
    ]
    rows.sort(key=lambda row: (row[0] is not None, row[0] or "", row[1], row[2]))
    reached = reach_of(rows)
    if reached is None:
        assert not any(low is None for low, _ in given_windows)
        return
    high = int(reached.cursor_high)
    assert all(covered(minute, given_windows) for minute in range(high + 1))
    assert not covered(high + 1, given_windows)
    assert given_windows[reached.batch_id][1] == high
    assert reached.has_gap == any(low is not None and low > high for low, _ in given_windows)
