"""What `make test-browser` does where it can't run."""

import os
import shutil
import subprocess
from pathlib import Path

from yingshang.settings import PROJECT_ROOT


def test_without_chromium_it_says_in_a_line_what_it_needs_and_installs_nothing(tmp_path: Path) -> None:
    make = shutil.which("make")
    assert make
    done = subprocess.run(
        [make, "--silent", "test-browser", f"BROWSER={tmp_path / 'packages'}"],
        cwd=PROJECT_ROOT, env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    first, *others = done.stderr.splitlines()
    assert first == (
        "make test-browser needs Debian's chromium and a Chinese font:"
        " apt-get install chromium fontconfig fonts-noto-cjk"
    )
    assert len(others) == 1, "make's own"
    assert list(tmp_path.iterdir()) == []
