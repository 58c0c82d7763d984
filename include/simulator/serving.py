"""The servers of a province: PostgreSQL, the cities' API, the counties' SFTP, until SIGTERM."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import uvicorn

from localpg import Cluster, LocalPostgresError
from simulator import api, frontdb, sftp
from simulator.books import Books, ProvinceError, read_json, read_meta, write_atomically
from simulator.control import change_control, read_control
from simulator.fleet import Fleet
from simulator.generate import members, settle
from simulator.systems import SOURCES
from simulator.tables import System

LOOPBACK = "127.0.0.1"
WATCH_SECONDS = 0.5


@dataclass(frozen=True)
class Ports:
    """TCP ports on 127.0.0.1; 0 takes the port of the last time if it is free, else any."""

    api: int = 0
    sftp: int = 0
    postgres: int = 0


def serve(root: Path, ports: Ports, *, with_parent: bool = False, ready: Callable[[str], None] = print) -> None:
    """Serve the province under ``root`` until SIGTERM or SIGINT; with ``with_parent`` also until the parent is gone.

    Raises:
        ProvinceError: it is not generated, is served already, or a port is busy.
    """
    fleets = fleets_of(root)
    running = served_by(root)
    if running is not None:
        raise ProvinceError(f"the province in {root} is served already by process {running}")
    last = read_json(root / "ports.json")
    with contextlib.ExitStack() as stack:
        sockets = {
            name: stack.enter_context(_bound(wanted, int(last.get(name, 0)), name))
            for name, wanted in (("api", ports.api), ("sftp", ports.sftp))
        }
        write_atomically(root / "serve.json", json.dumps({"pid": os.getpid()}), 0o600)
        stack.callback((root / "serve.json").unlink, missing_ok=True)
        settle(root)
        server = stack.enter_context(_postgres(root, ports.postgres, int(last.get("postgres", 0))))
        passwords = _passwords(root, fleets)
        frontdb.create_databases(server, list(fleets.values()), passwords)
        for system, fleet in fleets.items():
            frontdb.load(server, Books(root, system), fleet)
        _keep_down_nodes_down(root, server, fleets)
        asyncio.run(_run(root, server, fleets, sockets, passwords, with_parent, ready))


def fleets_of(root: Path) -> dict[System, Fleet]:
    """The nodes of every system, as they run it."""
    everyone = members(read_meta(root))
    return {source.system: everyone.of_system(source.system) for source in SOURCES}


def served_by(root: Path) -> int | None:
    """Process id of the server of this province, None when nobody serves it."""
    pid = read_json(root / "serve.json").get("pid")
    if pid is None:
        return None
    try:
        os.kill(int(pid), 0)
        words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[-1].split() if Path("/proc").is_dir() else ["R"]
    except (ProcessLookupError, FileNotFoundError):
        return None
    except PermissionError:
        return int(pid)
    return None if words[0] == "Z" else int(pid)


def is_ready(root: Path) -> bool:
    return bool(read_json(root / "serve.json").get("ready"))


def stop(root: Path, seconds: float = 60) -> bool:
    """Ask the server to end and wait for it. Returns whether there was one.

    Raises:
        ProvinceError: it does not end in time.
    """
    pid = served_by(root)
    if pid is None:
        orphan = frontdb.cluster(root)
        was_running = orphan.is_running  # its server was killed; the databases live on
        orphan.stop()
        return was_running
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while served_by(root) == pid:
        if time.monotonic() > deadline:
            raise ProvinceError(f"process {pid} did not end within {seconds:.0f} s: end it with `kill -9 {pid}`")
        time.sleep(0.05)
    return True


def connections(root: Path, fleets: Iterable[Fleet], ports: Ports, passwords: dict[str, str]) -> dict[str, str]:
    """conn_id -> URI for every node in every system."""
    key = sftp.host_key(root).export_public_key("openssh").decode().strip()
    known = quote(" ".join(key.split()[:2]), safe="")
    found = {}
    for node in (node for fleet in fleets for node in fleet.nodes):
        who = f"{node.login}:{quote(passwords[node.login], safe='')}"
        match node.connector:
            case "postgres":
                found[node.login] = f"postgresql://{who}@{LOOPBACK}:{ports.postgres}/{node.database}"
            case "http":
                path = "" if node.system == "trading" else f"/{node.system}"
                found[node.login] = f"http://{who}@{LOOPBACK}:{ports.api}/city/{node.code}{path}"
            case _:
                found[node.login] = f"sftp://{who}@{LOOPBACK}:{ports.sftp}/outbox?host_key={known}"
    return found


def _apis(fleets: dict[System, Fleet], port: int, passwords: dict[str, str]) -> list[api.Api]:
    gateway = f"postgresql://{frontdb.GATEWAY}:{quote(passwords[frontdb.GATEWAY], safe='')}@{LOOPBACK}:{port}/"
    return [
        api.Api(node, system.tables_at(node), node.login, passwords[node.login], gateway + node.database)
        for system, fleet in fleets.items()
        for node in fleet.of("http")
    ]


async def _run(
    root: Path, server: Cluster, fleets: dict[System, Fleet], sockets: dict[str, socket.socket],
    passwords: dict[str, str], with_parent: bool, ready: Callable[[str], None],
) -> None:  # fmt: skip
    application = api.application(root, _apis(fleets, server.port, passwords))
    web = _Web(
        uvicorn.Config(application, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=3)
    )
    everyone = [node for fleet in fleets.values() for node in fleet.nodes]
    files = {node.login: node.code for node in everyone if node.sends_files}
    acceptor = await sftp.listen(root, passwords, files, sockets["sftp"])
    task = asyncio.create_task(web.serve(sockets=[sockets["api"]]))
    while not web.started and not task.done():
        await asyncio.sleep(0.01)
    ports = Ports(sockets["api"].getsockname()[1], sockets["sftp"].getsockname()[1], server.port)
    write_atomically(
        root / "connections.json", json.dumps(connections(root, fleets.values(), ports, passwords), indent=1), 0o600
    )
    told = {"api": ports.api, "sftp": ports.sftp, "postgres": ports.postgres}
    write_atomically(root / "ports.json", json.dumps(told))
    write_atomically(root / "serve.json", json.dumps({"pid": os.getpid(), "ready": True, **told}), 0o600)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    ready(
        f"ready: {len({node.code for node in everyone})} nodes, {len(fleets)} systems; PostgreSQL {LOOPBACK}:"
        f"{ports.postgres}, API http://{LOOPBACK}:{ports.api}, SFTP {LOOPBACK}:{ports.sftp}; "
        f"connections in {root / 'connections.json'}"
    )
    parent = os.getppid()
    while not ended.is_set() and not task.done():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), WATCH_SECONDS)
        if with_parent and os.getppid() != parent:
            ended.set()
    web.should_exit = True
    acceptor.close()
    await task


class _Web(uvicorn.Server):
    """uvicorn without signal handlers of its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.contextmanager
def _postgres(root: Path, wanted: int, last: int) -> Iterator[Cluster]:
    server = frontdb.cluster(root, wanted)
    try:
        if server.is_running:
            server.stop()
        try:
            server = frontdb.cluster(root, wanted or last)
            server.start()
        except LocalPostgresError:
            if wanted or not last:
                raise
            server = frontdb.cluster(root)
            server.start()
    except LocalPostgresError as error:
        raise ProvinceError(str(error)) from error
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def _bound(wanted: int, last: int, name: str) -> Iterator[socket.socket]:
    for port in dict.fromkeys([wanted] if wanted else [last, 0]):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((LOOPBACK, port))
        except OSError:
            sock.close()
            continue
        with sock:
            sock.listen(128)
            sock.setblocking(False)
            yield sock
        return
    raise ProvinceError(f"port {wanted} for {name} is in use: stop what uses it, or choose another with --{name}-port")


def _passwords(root: Path, fleets: dict[System, Fleet]) -> dict[str, str]:
    """Passwords and client secrets, made once per state folder."""
    path = root / "secrets.json"
    found = dict(read_json(path))
    names = [frontdb.GATEWAY, *(node.login for fleet in fleets.values() for node in fleet.nodes)]
    missing = {name: secrets.token_urlsafe(18) for name in names if name not in found}
    if missing:
        write_atomically(path, json.dumps({**found, **missing}, indent=1), 0o600)
    return {**found, **missing}


def _keep_down_nodes_down(root: Path, server: Cluster, fleets: dict[System, Fleet]) -> None:
    down = read_control(root).down
    asked = [node for fleet in fleets.values() for node in fleet.of("postgres")]
    frontdb.set_logins(server.superuser_dsn(), {node.login: node.code not in down for node in asked})
    change_control(root)
