"""The cut-off of a night: reading ends then at the latest, and the night can close. The next night reads the rest."""

import datetime as dt
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from yingshang.ingest.node import CutOffPassed

GRACE_SECONDS = 60.0


@contextmanager
def reading_until(cut_off_at: dt.datetime | None, what: str, *, grace_seconds: float = GRACE_SECONDS) -> Iterator[None]:
    """Let the block run until ``cut_off_at`` (timezone-aware; None: no limit); main thread only.

    At the cut-off the block is interrupted. A block that cannot be interrupted (a driver that waits for its server)
    ends with its whole process ``grace_seconds`` later: a killed load leaves nothing behind, so this loses nothing.
    SIGALRM is left to Airflow, whose execution timeout uses it.

    Raises:
        CutOffPassed: the cut-off has passed, before the block or in it.
    """
    if cut_off_at is None:
        yield
        return
    remaining = (cut_off_at - dt.datetime.now(dt.UTC)).total_seconds()
    message = f"{what}: the night's cut-off ({cut_off_at:%Y-%m-%d %H:%M %Z}) has passed; the next night reads it"
    if remaining <= 0:
        raise CutOffPassed(message)

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise CutOffPassed(message)

    main = threading.main_thread().ident or 0
    timers = (
        threading.Timer(remaining, signal.pthread_kill, (main, signal.SIGUSR1)),
        threading.Timer(remaining + grace_seconds, os.kill, (os.getpid(), signal.SIGKILL)),
    )
    previous = signal.signal(signal.SIGUSR1, interrupt)
    try:
        for timer in timers:
            timer.daemon = True
            timer.start()
        yield
    finally:
        for timer in timers:
            timer.cancel()
        signal.signal(signal.SIGUSR1, previous)
