"""The SFTP server of the file counties: a login per county and system, which sees
nothing but its own folder, and only reads."""

import socket
from collections.abc import Mapping
from pathlib import Path

import asyncssh

from simulator.control import read_control

READING = asyncssh.FXF_READ


def host_key(root: Path) -> asyncssh.SSHKey:
    """The server's key, made at the first call."""
    path = root / "ssh_host_ed25519"
    if not path.exists():
        key = asyncssh.generate_private_key("ssh-ed25519")
        path.touch(mode=0o600)
        path.write_bytes(key.export_private_key())
    return asyncssh.read_private_key(path)


async def listen(
    root: Path, passwords: Mapping[str, str], nodes: Mapping[str, str], sock: socket.socket
) -> asyncssh.SSHAcceptor:
    """Serve on a bound socket. ``passwords``: login -> password; ``nodes``: login -> node code."""

    class Server(asyncssh.SSHServer):
        def password_auth_supported(self) -> bool:
            return True

        def begin_auth(self, username: str) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            node = nodes.get(username)
            return node is not None and password == passwords[username] and node not in read_control(root).down

    class Folder(asyncssh.SFTPServer):
        """The login's folder as /; every request is refused while the county is down."""

        def __init__(self, channel: asyncssh.SSHServerChannel[bytes]) -> None:
            login = channel.get_extra_info("username")
            self.node = nodes[login]
            super().__init__(channel, chroot=str(root / "sftp" / login).encode())

        def map_path(self, path: bytes) -> bytes:
            if self.node in read_control(root).down:
                raise asyncssh.SFTPConnectionLost("the county's server is down")
            return super().map_path(path)

        def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
            if pflags & ~READING:
                raise asyncssh.SFTPPermissionDenied("read only")
            return super().open(path, pflags, attrs)

        def open56(self, path: bytes, desired_access: int, flags: int, attrs: asyncssh.SFTPAttrs) -> object:
            if (
                desired_access & ~(asyncssh.ACE4_READ_DATA | asyncssh.ACE4_READ_ATTRIBUTES)
                or flags & 7 != asyncssh.FXF_OPEN_EXISTING
            ):
                raise asyncssh.SFTPPermissionDenied("read only")
            return super().open56(path, desired_access, flags, attrs)

        def _refuse(self, *_: object) -> None:
            raise asyncssh.SFTPPermissionDenied("read only")

        setstat = lsetstat = fsetstat = remove = mkdir = rmdir = rename = posix_rename = symlink = link = _refuse  # type: ignore[assignment]

    return await asyncssh.listen(
        sock=sock,
        server_factory=Server,
        server_host_keys=[host_key(root)],
        sftp_factory=Folder,
        allow_scp=False,
        agent_forwarding=False,
        compression_algs=None,
    )
