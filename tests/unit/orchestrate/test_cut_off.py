"""Reading ends at the cut-off: what can be interrupted is, what can't ends with its process."""

import datetime as dt
import signal
import subprocess
import sys
import time

import pytest

from yingshang.ingest.node import CutOffPassed
from yingshang.orchestrate.cut_off import reading_until


def _in(seconds: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)


def test_a_block_that_is_still_reading_is_interrupted() -> None:
    began = time.monotonic()
    with pytest.raises(CutOffPassed, match="trading of 210102"), reading_until(_in(0.3), "trading of 210102"):
        time.sleep(20)
    assert time.monotonic() - began < 5


def test_after_the_cut_off_nothing_is_started() -> None:
    started = False
    with pytest.raises(CutOffPassed), reading_until(_in(-1), "trading of 210102"):
        started = True
    assert not started


def test_a_block_that_ends_in_time_is_left_alone_and_so_is_what_follows() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with reading_until(_in(0.2), "trading of 210102"):
        pass
    time.sleep(0.4)
    assert signal.getsignal(signal.SIGUSR1) == before


def test_a_block_that_cannot_be_interrupted_ends_with_its_process() -> None:
    code = (
        "import datetime as dt, signal, time\n"
        "from yingshang.orchestrate.cut_off import reading_until\n"
        "at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=0.2)\n"
        "with reading_until(at, 'x', grace_seconds=0.5):\n"
        "    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
        "    time.sleep(30)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=20, check=False)
    assert done.returncode == -signal.SIGKILL
