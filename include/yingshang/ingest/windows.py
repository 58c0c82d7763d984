"""Which range of its cursor a provision is asked for: a function of the ledger; our clock has no say.

Ranges are ``low < cursor <= high``, text yyyyMMddHHmmss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal

from yingshang.connectors.base import CLOCK_FORMAT, clock_plus
from yingshang.warehouse.ledger import AdmittedWindow, Batch


@dataclass(frozen=True)
class Window:
    """What to ask for. ``low`` None: from the beginning; ``high`` None: all that there is.

    ``kind``: ``window`` moves the provision on; ``reload`` reads again what belongs to a past night.
    ``reached``: where the last admitted window ended, None for a first read.
    """

    kind: Literal["window", "reload"]
    low: str | None
    high: str | None
    reached: str | None = None

    def end(self, newest: str | None, clock: str) -> str | None:
        """Upper bound to record: the greatest cursor read, never beyond the source's clock.

        A window that brought nothing new ends where it began; one that was asked with an upper bound, there. A
        provision that has never brought a row has no end: its next read is a first one again.
        """
        if self.high is not None and (newest or self.low):
            return self.high
        known = [cursor for cursor in (newest and min(newest, clock), self.reached) if cursor]
        return max(known, default=None)


def next_window(
    night: date, *, reached: AdmittedWindow | None, recorded: Sequence[Batch], overlap: timedelta
) -> Window:
    """The window of a provision for a night.

    Args:
        reached: how far its admitted windows reach without a gap.
        recorded: windows that were read for this night before, oldest first.
        overlap: what is read again, since rows can be committed after others with a later cursor.
    """
    bounds = next((batch for batch in recorded if batch.cursor_high is not None), None)
    if bounds is not None:
        return Window("reload", bounds.cursor_low, bounds.cursor_high)
    if reached is None and recorded:  # read before, when there was nothing: what came in later nights is theirs
        return Window("reload", None, day_of(night)[1])
    if reached is None:
        return Window("window", None, None)
    if night < reached.night:
        return Window("reload", *day_of(night))
    return Window("window", clock_plus(reached.cursor_high, -overlap), None, reached.cursor_high)


def day_of(night: date) -> tuple[str, str]:
    """The cursor range of a business date: from its first to its last second, Asia/Shanghai."""
    midnight = datetime.combine(night, time())
    before, last = midnight - timedelta(seconds=1), midnight + timedelta(days=1, seconds=-1)
    return before.strftime(CLOCK_FORMAT), last.strftime(CLOCK_FORMAT)
