"""Superset on this machine: its state, its users, one process on loopback."""

import hashlib
import json
import os
import secrets as random
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bi import environment
from bi.bundle import PLACEHOLDER, write
from bi.model import HERE, load
from demo.layout import DemoError, Layout, check_port, port_from
from demo.processes import Service, wait_until
from yingshang import secrets
from yingshang.contracts.access import load_access
from yingshang.errors import CredentialError, LoginRefused, YingshangError
from yingshang.settings import settings
from yingshang.warehouse import Role, connect
from yingshang.warehouse.connections import AnyRole, conn_id

ADMIN = "admin"
READER: Role = "bi_reader"
THREADS = 8


@dataclass(frozen=True)
class User:
    """A user of Superset, and the role whose login in PostgreSQL the user has."""

    name: str
    password: str
    role: str


class Superset:
    """The demo's Superset; :meth:`up` may be called again and again."""

    def __init__(self, layout: Layout) -> None:
        self.state = layout.state / "bi"
        self.port = port_from("YINGSHANG_BI_PORT", 18088)
        self.url = f"http://127.0.0.1:{self.port}"
        self.service = Service("superset", layout.run, layout.logs)

    def up(self, say: Callable[[str], None]) -> list[User]:
        """Install, prepare and start what is not there yet; returns the users.

        Raises:
            DemoError: nothing is published, the port is in use, the disk is full, or Superset fails.
        """
        check_published()
        if not self.service.process():
            check_port(self.port, "Superset", "YINGSHANG_BI_PORT")
        environment.check_room(_made(self.state))
        bin_dir = environment.install(say)
        users = self._users()
        self._write_state(users)
        bundle = self.state / "bundle"
        write(load(), bundle)
        code = _digest([HERE, settings().home / environment.LOCK])
        if self.service.process() and self._known("started") != code:
            self.service.stop()
        wanted = _digest([HERE, settings().home / environment.LOCK, bundle], *(f"{u.name} {u.role}" for u in users))
        if self._known("prepared") != wanted:
            say("Superset: its metadata, users and dashboards")
            self._prepare(bin_dir, bundle, users)
            self._remember("prepared", wanted)
        if not self._is_healthy():
            say("Superset: starting")
            self.service.start(self._command(bin_dir), self.environment(), self.state)
            self._remember("started", code)
            wait_until(self._is_healthy, [self.service], "Superset", 180)
        return users

    def write_state(self) -> list[User]:
        """Write what a Superset elsewhere takes: its key, logins, the bundle, and what ``prepare.py`` reads.

        Nothing needs to be published yet. Returns the users.
        """
        _made(self.state)
        users = self._users()
        self._write_state(users)
        write(load(), self.state / "bundle")
        self._keep("users.json", json.dumps(_wanted(users)))
        return users

    def down(self) -> bool:
        """Stop it; returns whether it ran."""
        return self.service.stop()

    def environment(self) -> dict[str, str]:
        """What Superset's process is told. Connections of the warehouse and keys of Airflow are not for it."""
        outer = {key: value for key, value in os.environ.items() if not key.startswith(("YINGSHANG_", "AIRFLOW_"))}
        own = {
            "FLASK_APP": "superset.app:create_app()",
            "PYTHONPATH": str(HERE),
            "SUPERSET_HOME": str(self.state),
            "SUPERSET_CONFIG_PATH": str(HERE / "superset_config.py"),
            "YINGSHANG_BI_STATE": str(self.state),
            "YINGSHANG_BI_PLACEHOLDER": PLACEHOLDER,
        }
        metadata = os.environ.get("YINGSHANG_BI_METADATA_DSN")
        return {**outer, **own, **({"YINGSHANG_BI_METADATA_DSN": metadata} if metadata else {})}

    def _command(self, bin_dir: Path) -> list[str]:
        choices = ["--workers", "1", "--worker-class", "gthread", "--threads", str(THREADS), "--timeout", "120"]
        bind = ["--bind", f"127.0.0.1:{self.port}", "--worker-tmp-dir", str(self.state)]
        return [str(bin_dir / "python"), "-m", "gunicorn", *choices, *bind, "superset.app:create_app()"]

    def _users(self) -> list[User]:
        """An administrator, and a user for each role of the access registry that has a login."""
        passwords = json.loads(self._read("passwords.json", "{}"))
        roles = [role for role in load_access().active if _login(role)]
        wanted = {ADMIN: READER} | {role: role for role in roles}
        return [
            User(name, passwords.get(name) or random.token_urlsafe(9), role) for name, role in wanted.items()
        ]  # fmt: skip

    def _write_state(self, users: list[User]) -> None:
        if not (self.state / "secret_key").is_file():
            self._keep("secret_key", random.token_urlsafe(42))
        self._keep("passwords.json", json.dumps({user.name: user.password for user in users}))
        self._keep("logins.json", json.dumps({conn_id(user.role): _login(user.role) for user in users}))

    def _prepare(self, bin_dir: Path, bundle: Path, users: list[User]) -> None:
        done = subprocess.run(
            [str(bin_dir / "python"), str(HERE / "prepare.py"), str(bundle)],
            input=json.dumps(_wanted(users)), env=self.environment(), cwd=self.state,
            capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        log = self.service.log_dir / "superset-prepare.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(done.stdout + done.stderr, encoding="utf-8")
        if done.returncode != 0:
            words = done.stderr.strip().splitlines()[-1:]
            raise DemoError(f"Superset can't be prepared: {' '.join(words)[:400]} (whole log: {log})")

    def _is_healthy(self) -> bool:
        """`/health` answers while the log-in page fails: both are asked."""
        if not self.service.process():
            return False
        try:
            return all(httpx.get(f"{self.url}{page}", timeout=20).status_code == 200 for page in ("/health", "/login/"))
        except httpx.TransportError:
            return False

    def _read(self, name: str, default: str) -> str:
        path = self.state / name
        return path.read_text(encoding="utf-8") if path.is_file() else default

    def _known(self, name: str) -> str:
        return self._read(f"{name}.sha256", "")

    def _remember(self, name: str, digest: str) -> None:
        self._keep(f"{name}.sha256", digest)

    def _keep(self, name: str, content: str) -> None:
        """Write a file that the owner alone can read."""
        path = self.state / name
        path.touch(mode=0o600)
        path.write_text(content, encoding="utf-8")


def _wanted(users: list[User]) -> dict[str, Any]:
    """What ``prepare.py`` reads."""
    return {
        "admin": ADMIN,
        "users": {user.name: {"password": user.password, "conn_id": conn_id(user.role)} for user in users},
    }


def check_published(role: AnyRole = READER) -> None:
    """Refuse to show what is not there, to the one who asks.

    Raises:
        DemoError: no warehouse, or none that answers, or nothing is published in it.
    """
    try:
        with connect(role, autocommit=True) as reader:
            row = reader.execute("select 1 where to_regclass('marts.publication') is not null").fetchone()
            published = row and reader.execute("select 1 from marts.publication").fetchone()
    except LoginRefused as error:
        raise DemoError(f"no warehouse to show: {error}") from error
    except YingshangError as error:
        raise DemoError(f"no warehouse to show: {error}. Is the demo running? `make demo` starts it") from error
    if not published:
        raise DemoError("the warehouse has published nothing yet (尚未发布): run a night first (`make demo`)")


def _login(role: str) -> str | None:
    """The URI of the role's login; None where an administrator has not made it yet."""
    try:
        return secrets.connection(conn_id(role)).uri
    except CredentialError:
        return None


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _digest(paths: list[Path], *words: str) -> str:
    found = hashlib.sha256("\n".join(words).encode())
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                found.update(file.relative_to(path.parent).as_posix().encode() + file.read_bytes())
    return found.hexdigest()
