"""Background processes: in groups of their own, remembered by pid and start: only ours are ended."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from demo.layout import DemoError


@dataclass(frozen=True)
class Service:
    """A named background process; its pid file and log lie in the demo's folders."""

    name: str
    run_dir: Path
    log_dir: Path

    @property
    def log(self) -> Path:
        return self.log_dir / f"{self.name}.log"

    @property
    def _pid_file(self) -> Path:
        return self.run_dir / f"{self.name}.json"

    def process(self) -> psutil.Process | None:
        """The running process, or None. A reused pid is not mistaken for it."""
        try:
            known = json.loads(self._pid_file.read_text())
            process = psutil.Process(known["pid"])
            alive = process.status() != psutil.STATUS_ZOMBIE and abs(_uptime_at_start(process) - known["started"]) < 0.1
        except (FileNotFoundError, psutil.NoSuchProcess):
            return None
        return process if alive else None

    def start(self, command: Sequence[str], env: Mapping[str, str], cwd: Path) -> None:
        """Start the process unless it runs already."""
        if self.process():
            return
        self.run_dir.mkdir(parents=True, exist_ok=True)
        self.log_dir.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            started = subprocess.Popen(
                list(command),
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        known = {"pid": started.pid, "started": _uptime_at_start(psutil.Process(started.pid))}
        self._pid_file.write_text(json.dumps(known))

    def check(self) -> None:
        """Raise when the process is no longer there, with the last words of its log."""
        if self.process() is None:
            words = self.log.read_text(errors="replace").splitlines()[-3:] if self.log.exists() else []
            raise DemoError(f"{self.name} has ended: {' / '.join(words) or 'it wrote nothing'} (whole log: {self.log})")

    def stop(self, grace_seconds: float = 15) -> bool:
        """End the whole process group; returns whether there was something to end."""
        process = self.process()
        if process is None:
            self._pid_file.unlink(missing_ok=True)
            return False
        family = [process, *_children(process)]
        _signal_group(process.pid, signal.SIGTERM)
        _, alive = psutil.wait_procs(family, timeout=grace_seconds)
        alive = list({*alive, *(child for one in alive for child in _children(one))})
        for straggler in alive:
            try:
                straggler.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(alive, timeout=5)
        self._pid_file.unlink(missing_ok=True)
        return True


def _uptime_at_start(process: psutil.Process) -> float:
    """Seconds from the machine's start to the process's. When the clock is set, or slewed, its time of day changes."""
    return process.create_time() - psutil.boot_time()


def wait_until(ready: Callable[[], bool], services: Sequence[Service], what: str, seconds: float) -> None:
    """Poll ``ready`` until it is true; a service that dies meanwhile ends the wait at once."""
    end = time.monotonic() + seconds
    while not ready():
        for service in services:
            service.check()
        if time.monotonic() > end:
            raise DemoError(f"{what} is not ready after {seconds:.0f} s: see the logs in {services[0].log_dir}")
        time.sleep(0.3)


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return
