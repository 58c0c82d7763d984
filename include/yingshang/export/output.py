"""Where an export goes: a folder that is there as a whole or not at all, and is never written over unasked."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from yingshang.errors import UsageError


@contextmanager
def whole_folder(output: Path, mark: str, *, overwrite: bool) -> Iterator[Path]:
    """A folder beside ``output`` to write to; it becomes ``output`` when the block ends well, and is gone otherwise.

    Args:
        mark: the file that tells a folder to be such an export; only these are written over.

    Raises:
        UsageError: ``output`` is there (and ``overwrite`` was not given), or is no export, or can't be written.
    """
    output = output.absolute()
    check_output(output, mark, overwrite=overwrite)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".partial", dir=output.parent))
    except OSError as error:
        raise UsageError(f"--output {output}: {error.strerror or error}") from error
    try:
        partial.chmod(0o755)
        yield partial
        check_output(output, mark, overwrite=overwrite)
        _put(partial, output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_output(output: Path, mark: str, *, overwrite: bool) -> None:
    """Raises UsageError where ``output`` must not be written to."""
    if not output.exists():
        return
    if not output.is_dir():
        raise UsageError(f"--output {output} is a file: give a folder that is not there yet")
    if not any(output.iterdir()):
        return
    if not (output / mark).is_file():
        raise UsageError(f"--output {output} holds something else (it has no {mark}): give another folder")
    if not overwrite:
        raise UsageError(f"--output {output} holds an export: give another folder, or --overwrite to replace it")


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _put(partial: Path, output: Path) -> None:
    """Rename into place. An export that is replaced is out of the way for the moment between two renames."""
    for folder, _, files in os.walk(partial):
        for name in files:
            with (Path(folder) / name).open("rb") as file:
                os.fsync(file.fileno())
    old: Path | None = None
    if output.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".old", dir=output.parent))
        output.replace(old)
    try:
        partial.rename(output)
    except OSError:
        if old:
            old.rename(output)
        raise
    if old:
        shutil.rmtree(old, ignore_errors=True)
