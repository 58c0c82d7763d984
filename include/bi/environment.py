"""Superset's own Python environment: it needs SQLAlchemy 1, the warehouse's tools need 2."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from demo.layout import GIB, DemoError
from yingshang.settings import settings

LOCK = "requirements/bi.lock.txt"
NEEDED_GIB = 1.5


def venv() -> Path:
    """Where it is: ``.venv-bi`` in the project, or what ``YINGSHANG_BI_VENV`` says."""
    return Path(os.environ.get("YINGSHANG_BI_VENV") or settings().home / ".venv-bi")


def install(say: Callable[[str], None]) -> Path:
    """Make it as the lock says, unless it is so already; returns its folder of programs.

    Raises:
        DemoError: the disk is too small, or a package can't be installed.
    """
    home = venv()
    lock = settings().home / LOCK
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    ready = home / ".ready"
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_name(f"{home.name}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if ready.is_file() and ready.read_text() == wanted:
            return home / "bin"
        check_room(home.parent)
        say("installing Superset in an environment of its own (650 MB)")
        ready.unlink(missing_ok=True)
        _run([sys.executable, "-m", "venv", "--without-pip", "--clear", str(home)])
        uv = Path(sys.executable).parent / "uv"
        choices = ["--quiet", "--require-hashes", "--no-deps"]
        _run([str(uv), "pip", "install", *choices, "--python", str(home / "bin" / "python"), "-r", str(lock)])
        ready.write_text(wanted)
    return home / "bin"


def check_room(where: Path) -> None:
    """Refuse to start what the disk can't hold.

    Raises:
        DemoError: fewer than 1.5 GiB are free.
    """
    free = shutil.disk_usage(where).free / GIB
    if free < NEEDED_GIB:
        raise DemoError(
            f"{where} has {free:.1f} GiB free, Superset needs {NEEDED_GIB:g} GiB: make room, or set YINGSHANG_BI_VENV"
            " (its environment) and YINGSHANG_STATE (its data) to another disk"
        )


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise DemoError(f"Superset can't be installed: {' / '.join(words[-3:])[:500]}")
