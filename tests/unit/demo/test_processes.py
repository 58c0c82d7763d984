"""Which process is ours: told by pid and start, whatever the clock says by now."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from demo.processes import Service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service("sleeper", tmp_path / "run", tmp_path / "logs")
    made.start([sys.executable, "-c", "import time; time.sleep(60)"], os.environ, tmp_path)
    yield made
    made.stop()


@pytest.mark.parametrize("seconds", [-3600, -1, 1, 3600])
def test_a_process_is_known_again_after_the_clock_was_set(
    service: Service, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    """The system tells the time of a start as the time of its own start, by today's clock, and the ticks since then."""
    booted, create_time = psutil.boot_time(), psutil.Process.create_time
    monkeypatch.setattr(psutil, "boot_time", lambda: booted + seconds)
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: create_time(process) + seconds)
    assert service.process() is not None


def test_a_pid_used_again_is_not_mistaken_for_ours(service: Service) -> None:
    (kept,) = (service.run_dir).glob("*.json")
    known = json.loads(kept.read_text())
    kept.write_text(json.dumps(known | {"started": known["started"] - 5}))
    assert service.process() is None
    kept.write_text(json.dumps(known))
