"""Child processes that are there to be killed.

Importing what an ingest needs takes longer than the ingest of a small node: a server imports it once, and forks a child
for each job, as Airflow's workers do (docs/adr/0006-executor.md). Each child is a process of its own, killed for real.
"""

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MODULES = (
    "adbc_driver_manager", "adbc_driver_postgresql", "httpx", "stamina", "anyio", "httpcore", "sshfs", "fsspec",
    "lxml.etree", "python_calamine", "polars_hash", "pyarrow.parquet", "cryptography.fernet",
    "yingshang.connectors.files", "yingshang.connectors.http", "yingshang.connectors.postgres",
    "yingshang.ingest.batch", "yingshang.ingest.night", "tests.support.faults_jobs",
)  # fmt: skip


class Workers:
    """The server that forks; start it once, it ends with :meth:`close`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.faults_workers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'include'}"},
        )

    def start(self, job: str, *arguments: str) -> "Worker":
        """Run a function of :mod:`tests.support.faults_jobs` in a child, in this process's environment of now."""
        self._number += 1
        log = self._folder / f"worker_{self._number}.log"
        return Worker(
            self, self.ask({"job": job, "arguments": arguments, "environment": dict(os.environ), "log": str(log)}), log
        )

    def preload(self, *modules: str) -> None:
        """Import more before the next fork."""
        self.ask({"import": modules})

    def ask(self, what: dict[str, Any]) -> int:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(what) + "\n")
        self._server.stdin.flush()
        answer = self._server.stdout.readline()
        assert answer, "the server of the workers is gone"
        return int(answer)

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(20)


@dataclass
class Worker:
    """One child. ``returncode``: None while it runs; 0, 1 (it raised, see ``log``) or minus the signal."""

    workers: Workers
    pid: int
    log: Path
    returncode: int | None = None

    def is_running(self) -> bool:
        if self.returncode is None:
            status = self.workers.ask({"poll": self.pid})
            self.returncode = None if status == RUNNING else status
        return self.returncode is None

    def wait(self, seconds: float = 180) -> int:
        deadline = time.monotonic() + seconds
        while self.is_running():
            assert time.monotonic() < deadline, f"process {self.pid} still runs; it said: {self.said()}"
            time.sleep(0.01)
        assert self.returncode is not None
        return self.returncode

    def kill(self) -> bool:
        """``kill -9``. Returns whether it struck a running process."""
        if self.is_running():
            os.kill(self.pid, signal.SIGKILL)
        return self.wait(10) == -signal.SIGKILL

    def wait_until(self, happened: Callable[[], bool], seconds: float = 120) -> None:
        """Wait for what is seen from outside; fails when the child ends before."""
        deadline = time.monotonic() + seconds
        while not happened():
            assert self.is_running(), f"it ended ({self.returncode}) before: {self.said()}"
            assert time.monotonic() < deadline, f"it never happened: {self.said()}"
            time.sleep(0.01)

    def said(self) -> str:
        return self.log.read_text()[-2000:] if self.log.exists() else ""


RUNNING = 1000


def serve() -> None:
    for name in MODULES:
        import_module(name)
    children: set[int] = set()
    for line in sys.stdin:
        print(_answer(json.loads(line), children), flush=True)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _answer(asked: dict[str, Any], children: set[int]) -> int:
    if "import" in asked:
        for name in asked["import"]:
            import_module(name)
        return 0
    if "poll" in asked:
        pid, status = os.waitpid(asked["poll"], os.WNOHANG)
        if pid == 0:
            return RUNNING
        children.discard(pid)
        return os.waitstatus_to_exitcode(status)
    pid = os.fork()
    if pid == 0:
        _run(asked)
    children.add(pid)
    return pid


def _run(asked: dict[str, Any]) -> None:
    code = 1
    try:
        with Path(asked["log"]).open("w") as log:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        os.environ.clear()
        os.environ.update(asked["environment"])
        getattr(import_module("tests.support.faults_jobs"), asked["job"])(*asked["arguments"])
        code = 0
    except BaseException:  # noqa: BLE001 - the parent sees the exit code and the log
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
