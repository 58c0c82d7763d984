"""A county's SFTP server, which can stall or show another host key."""

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import asyncssh
from tests.support.loops import serving_beside

from yingshang.secrets import Connection

RIGHT = "right"
CONN_ID = "trading_210100"


@dataclass
class County:
    """A county's SFTP server."""

    root: Path
    port: int
    host_key: str
    stalls: threading.Event
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    """Every connection that was made, in order."""

    def uri(self, *, host_key: str = "") -> str:
        """As it stands in the connections file. ``host_key``: what we trust; default the server's own."""
        return f"sftp://county:{RIGHT}@127.0.0.1:{self.port}/outbox?host_key={quote(host_key or self.host_key)}"

    def connection(self, *, password: str = RIGHT, **query: str) -> Connection:
        options = {"host_key": self.host_key, **query}
        return Connection(
            CONN_ID, "sftp://secret", "sftp", "127.0.0.1", self.port, "county", password, "/outbox", options
        )


@contextmanager
def serving(root: Path) -> Iterator[County]:
    key = asyncssh.generate_private_key("ssh-ed25519")
    stalls = threading.Event()
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

    async def start(_: asyncio.Event) -> tuple[asyncssh.SSHAcceptor, int]:
        server = await asyncssh.listen(
            "127.0.0.1", 0, server_factory=Server, server_host_keys=[key], sftp_factory=Folder
        )
        return server, server.get_port()

    def abort() -> None:
        for connection in connections:
            connection.abort()

    public = " ".join(key.export_public_key("openssh").decode().split()[:2])
    try:
        with serving_beside(start, end=abort) as port:
            try:
                yield County(root / "outbox", port, public, stalls, connections)
            finally:
                stalls.clear()
    finally:
        # asyncssh's tasks of a connection that was cut off end with errors that nobody awaits; they are logged when
        # collected, and in the middle of an import Python 3.11 does not survive that
        time.sleep(0.2)
        gc.collect()
