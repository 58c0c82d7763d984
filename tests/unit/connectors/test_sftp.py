"""Drops over SFTP, from a real server that is right, wrong, or stalls."""

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pytest
from tests.support.ingest import NODE, csv_of, lot, write_drop

from yingshang.connectors.base import Request
from yingshang.connectors.files import FilesSource
from yingshang.contracts import load_contracts
from yingshang.errors import CredentialError, SourceUnavailable
from yingshang.secrets import Connection

CONTRACT = load_contracts()["trading.lot"]
RIGHT = "right"
REQUEST = Request(CONTRACT.table, CONTRACT.column_names, CONTRACT.primary_key, CONTRACT.cursor)


@dataclass
class County:
    """A county's SFTP server."""

    root: Path
    port: int
    host_key: str
    stalls: threading.Event

    def connection(self, *, password: str = RIGHT, **query: str) -> Connection:
        options = {"host_key": self.host_key, **query}
        return Connection(
            f"trading_{NODE}", "sftp://secret", "sftp", "127.0.0.1", self.port, "county", password, "/outbox", options
        )


@contextmanager
def serving(root: Path) -> Iterator[County]:
    key = asyncssh.generate_private_key("ssh-ed25519")
    stalls, ready, done = threading.Event(), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()
    ports: list[int] = []
    connections: list[asyncssh.SSHServerConnection] = []

    class Server(asyncssh.SSHServer):
        def connection_made(self, connection: asyncssh.SSHServerConnection) -> None:
            connections.append(connection)

        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == ("county", RIGHT)

    class Folder(asyncssh.SFTPServer):
        def __init__(self, channel: asyncssh.SSHServerChannel) -> None:  # type: ignore[type-arg]
            super().__init__(channel, chroot=str(root))

        async def read(self, file_obj: object, offset: int, size: int) -> bytes:
            while stalls.is_set():
                await asyncio.sleep(0.05)
            return super().read(file_obj, offset, size)  # type: ignore[arg-type, return-value]

    async def run() -> None:
        server = await asyncssh.listen(
            "127.0.0.1", 0, server_factory=Server, server_host_keys=[key], sftp_factory=Folder
        )
        ports.append(server.get_port())
        ready.set()
        await done.wait()
        server.close()
        for connection in connections:
            connection.abort()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    public = " ".join(key.export_public_key("openssh").decode().split()[:2])
    try:
        yield County(root / "outbox", ports[0], public, stalls)
    finally:
        stalls.clear()
        loop.call_soon_threadsafe(done.set)
        thread.join(10)
        time.sleep(
            0.2
        )  # asyncssh's tasks of a connection that was cut off end with errors that nobody awaits; they are
        gc.collect()  # logged when collected, and in the middle of an import Python 3.11 does not survive that


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    write_drop(tmp_path / "outbox", "BID_SECTION", "20240813", csv_of([lot(n) for n in range(2000)]), 2000)
    with serving(tmp_path) as county:
        yield county


def read(connection: Connection, *, call_seconds: float = 20.0) -> int:
    with FilesSource(connection, NODE, call_seconds=call_seconds) as source:
        drop = source.outbox("BID_SECTION").drops[0]
        with source.read(drop, REQUEST, delete_column="IS_DELETE", delete_value="1") as delivery:
            return sum(batch.num_rows for batch in delivery.batches)


def test_a_drop_is_read_over_sftp(county: County) -> None:
    assert read(county.connection()) == 2000


def test_a_plus_in_a_host_key_may_have_become_a_blank(county: County) -> None:
    assert read(county.connection(host_key=county.host_key.replace("+", " "))) == 2000


def test_a_wrong_password_is_told_as_such(county: County) -> None:
    with pytest.raises(CredentialError, match="refuses us"):
        read(county.connection(password="wrong"))


def test_a_server_with_another_key_is_not_trusted(county: County) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode()
    with pytest.raises(CredentialError, match=r"refuses us .*HostKeyNotVerifiable"):
        read(county.connection(host_key=" ".join(other.split()[:2])))


def test_a_server_that_stalls_is_unavailable(county: County) -> None:
    county.stalls.set()
    with pytest.raises(SourceUnavailable, match="does not answer or breaks off"):
        read(county.connection(), call_seconds=1.0)
