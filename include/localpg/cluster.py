"""One PostgreSQL cluster: made when first started, on loopback only, with a password."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote

import psutil

from localpg.binaries import LocalPostgresError, bin_dir, private_folder, run_as

START_SECONDS = 60
DEFAULTS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "timezone": "Asia/Shanghai",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "random_page_cost": "1.1",
    "jit": "off",
    "client_connection_check_interval": "1s",
    "log_min_messages": "warning",
}


class Cluster:
    """A PostgreSQL 18 cluster whose state is under ``base``.

    Args:
        base: folder of the cluster. When root, data lie in a folder of the unprivileged user instead, and ``base``
            keeps the superuser's password only.
        port: TCP port on 127.0.0.1; 0 takes a free one at each start.
        settings: server settings beyond :data:`DEFAULTS`.
    """

    def __init__(self, base: Path, *, port: int = 0, settings: Mapping[str, str] | None = None) -> None:
        self.base = base
        self.port = port
        self._wanted_port = port
        self._settings = {**DEFAULTS, **(settings or {})}
        self._run_as = run_as()
        self.bin_dir = bin_dir()

    @property
    def data(self) -> Path:
        return (private_folder(self.base, self._run_as) if self._run_as else self.base) / "data"

    @property
    def log(self) -> Path:
        return self.data.parent / "postgres.log"

    @property
    def pid(self) -> int | None:
        """Process id of the running postmaster; None when it does not run, whoever has its number by now."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
            words = psutil.Process(pid).cmdline()
            return pid if os.path.realpath(self.data) in map(os.path.realpath, words) else None
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return None

    @property
    def is_running(self) -> bool:
        return self.pid is not None

    def superuser_dsn(self, dbname: str = "postgres") -> str:
        """A URI for the superuser ``postgres``."""
        return f"postgresql://postgres:{quote(self._password())}@127.0.0.1:{self.port}/{dbname}"

    def start(self) -> Self:
        """Make the cluster if there is none, and start it unless it runs.

        Raises:
            LocalPostgresError: the port is busy, the disk is full, or the server gave up (with its last words).
        """
        self.base.mkdir(parents=True, exist_ok=True)
        if not any(self.base.iterdir()):
            self._remove_orphan()
        if not (self.data / "PG_VERSION").exists():
            self._initdb()
        if self.is_running:
            self.port = self._running_port()
            return self
        for attempt in range(5):
            self.port = self._wanted_port or free_port()
            if self._wanted_port and not _is_free(self.port):
                raise LocalPostgresError(f"port {self.port} is in use: stop what uses it, or choose another port")
            result = self._pg_ctl("start", "-w", "-t", str(START_SECONDS), "-l", str(self.log), "-o", f"-p {self.port}")
            if result.returncode == 0:
                return self
            if attempt < 4 and self._worth_another_try():
                time.sleep(0.5)
                continue
            break
        raise LocalPostgresError(f"PostgreSQL did not start ({self.data}): {self._last_words()}")

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop the server if it runs; ``immediate`` leaves recovery to the next start."""
        if self.is_running:
            self._pg_ctl("stop", "-w", "-t", "60", "-m", mode)

    def kill(self) -> None:
        """``kill -9`` the postmaster, and wait until its number is free; its back ends end by themselves.

        Raises:
            LocalPostgresError: it is not gone after a minute. (Killed, it has no command line any more, but its number
                until it is reaped, and PostgreSQL takes whoever has that number for a postmaster.)
        """
        pid = self.pid
        if pid is None:
            return
        postmaster = psutil.Process(pid)
        postmaster.kill()
        try:
            postmaster.wait(START_SECONDS)
        except psutil.TimeoutExpired:
            raise LocalPostgresError(f"PostgreSQL (pid {pid}, {self.data}) was killed and is not gone") from None

    def destroy(self) -> None:
        """Stop, and remove all data."""
        self.stop("immediate")
        data_home = self.data.parent
        shutil.rmtree(self.data, ignore_errors=True)
        self.log.unlink(missing_ok=True)
        for folder in {data_home, self.base}:
            (folder / "superuser.password").unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _remove_orphan(self) -> None:
        """Remove the data of an earlier ``base`` of this name that was deleted by hand: nobody has their password."""
        if self.data.exists():
            if self.is_running:
                self.stop("immediate")
            shutil.rmtree(self.data)

    def _initdb(self) -> None:
        password = self._password()
        descriptor, name = tempfile.mkstemp(prefix="yingshang-pw-")
        pwfile = Path(name)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(password)
            if self._run_as:
                os.chown(pwfile, self._run_as.uid, self._run_as.gid)
            result = self._run(
                "initdb", "-D", str(self.data), "-U", "postgres", "--pwfile", str(pwfile), "-A", "scram-sha-256",
                "--encoding", "UTF8", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C",
                "--no-sync", "--no-instructions",
            )  # fmt: skip
        finally:
            pwfile.unlink()
        if result.returncode != 0:
            shutil.rmtree(self.data, ignore_errors=True)
            raise LocalPostgresError(f"initdb failed in {self.data}: {(result.stderr or result.stdout).strip()[-600:]}")
        lines = "".join(f"{key} = '{value}'\n" for key, value in self._settings.items())
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(lines)

    def _password(self) -> str:
        path = self.base / "superuser.password"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(24))
        return path.read_text()

    def _pg_ctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run("pg_ctl", "-D", str(self.data), *arguments)

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        owner = self._run_as
        with tempfile.TemporaryFile("w+") as output:  # a pipe would stay open in the server pg_ctl leaves behind
            result = subprocess.run(
                [str(self.bin_dir / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"},
                start_new_session=True,
                check=False,
                user=owner.uid if owner else None,
                group=owner.gid if owner else None,
                extra_groups=[] if owner else None,
            )
            output.seek(0)
            return subprocess.CompletedProcess(result.args, result.returncode, output.read(), "")

    def _running_port(self) -> int:
        return int((self.data / "postmaster.pid").read_text().splitlines()[3])

    def _worth_another_try(self) -> bool:
        """A lost race for a free port, or a killed server not yet gone: back ends, or a postmaster to be reaped."""
        words = self._last_words()
        dying = "shared memory" in words or 'lock file "postmaster.pid" already exists' in words
        return dying or (not self._wanted_port and "Address already in use" in words)

    def _last_words(self) -> str:
        if not self.log.exists():
            return "no log was written"
        return " / ".join(self.log.read_text(errors="replace").splitlines()[-5:])


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
