"""Drops of files with manifests, in a folder that fsspec can reach (SFTP, file://, memory:// ...).

A drop is the delta of a period: a data file and, written last, its manifest. A file is streamed once to an unlinked
local spool while its SHA-256 is taken; only a file that matches its manifest is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from yingshang.connectors.base import BATCH_CHARACTERS, BATCH_ROWS, MALFORMED, Delivery, Request, text_batch
from yingshang.connectors.formats import TextTable, read_csv, read_xlsx, read_xml
from yingshang.errors import CredentialError, ManifestError, SourceInconsistent, SourceUnavailable

if TYPE_CHECKING:
    import pyarrow as pa

    from yingshang.secrets import Connection

MANIFEST = ".manifest.json"
DATA_SUFFIXES = (".csv", ".xlsx", ".xml")
CHUNK = 1 << 20
MANIFEST_BYTES = 1 << 16
FILE_BYTES = 4 << 30
"""A drop is a night's delta: more is not taken in."""
CONNECT_SECONDS = 15
CALL_SECONDS = 60.0
FILE_SECONDS = 1800.0
_PERIOD = re.compile(r"\d{8}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CLOCK = re.compile(r"\d{14}")


@dataclass(frozen=True)
class Drop:
    """One manifest: what the node says it has sent. ``created`` is the source's clock, 14 digits."""

    node_code: str
    table: str
    period: str
    revision: int
    rows: int
    sha256: str
    file: str
    created: str
    charset: str

    @property
    def identity(self) -> tuple[str, str]:
        return (self.period, self.sha256)


@dataclass(frozen=True)
class Outbox:
    """What lies in the folder for one table: drops by period and revision, and what is wrong, in words."""

    drops: tuple[Drop, ...]
    problems: tuple[str, ...]


class FilesSource:
    """The folder of one node."""

    def __init__(self, connection: Connection, node_code: str, *, call_seconds: float = CALL_SECONDS) -> None:
        self._connection, self._node_code = connection, node_code
        self._named = f"connection {connection.conn_id!r}"
        self._call_seconds = call_seconds
        self._listing: tuple[str, ...] | None = None
        self.bytes_read = 0

    def __enter__(self) -> Self:
        with self._explained("the connection"):
            self._fs, self._folder = _filesystem(self._connection)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        close = getattr(self._fs, "_finalize", None)
        if close is not None and hasattr(self._fs, "_stack"):
            with contextlib.suppress(Exception):
                close(self._fs.loop, self._fs._pool, self._fs._stack)

    def outbox(self, table: str) -> Outbox:
        """Manifests of a table. Raises SourceUnavailable or CredentialError."""
        names = self._names()
        mine = [name for name in names if re.match(rf"{re.escape(table)}_\d", name)]
        drops: list[Drop] = []
        problems: list[str] = []
        described: set[str] = set()
        for name in (name for name in mine if name.endswith(MANIFEST)):
            try:
                drop = self._manifest(name, table)
            except ManifestError as error:
                problems.append(str(error))
                described.update(name.removesuffix(MANIFEST) + suffix for suffix in DATA_SUFFIXES)
                continue
            if drop.file not in mine:
                problems.append(f"{name} is there, but its file {drop.file} is not")
                continue
            described.add(drop.file)
            drops.append(drop)
        problems += [
            f"{name} lies there without its manifest {PurePosixPath(name).stem}{MANIFEST}"
            for name in mine
            if name.endswith(DATA_SUFFIXES) and name not in described
        ]
        return Outbox(tuple(sorted(drops, key=lambda drop: (drop.period, drop.revision))), tuple(problems))

    @contextlib.contextmanager
    def read(self, drop: Drop, request: Request, *, delete_column: str, delete_value: str) -> Iterator[Delivery]:
        """The rows of a drop.

        Raises:
            ManifestError: the file is not the one of its manifest (SHA-256); the number of rows is for the caller to
                compare with :attr:`Delivery.announced`.
            SourceInconsistent: the file is not of its format.
        """
        with tempfile.TemporaryFile(prefix="yingshang-spool-") as spool:
            self._fetch(drop, spool)
            with self._named_file(drop):
                table = open_table(
                    spool, drop.file, drop.charset, request, delete_column=delete_column, delete_value=delete_value
                )
            columns: Mapping[str, str] = _Present(table)
            yield Delivery(columns, lambda: drop.rows, self._batches(drop, table))

    def _batches(self, drop: Drop, table: TextTable) -> Iterator[pa.RecordBatch]:
        with self._named_file(drop):
            yield from table_batches(table)

    @contextlib.contextmanager
    def _named_file(self, drop: Drop) -> Iterator[None]:
        try:
            yield
        except ManifestError as error:
            raise ManifestError(f"{self._named}, file {drop.file}: {error}") from None
        except SourceInconsistent as error:
            raise SourceInconsistent(f"{self._named}, file {drop.file}: {error}") from None

    def _names(self) -> tuple[str, ...]:
        if self._listing is None:
            with self._explained("the list of files"):
                found = self._call("ls", self._folder, detail=False)
            self._listing = tuple(sorted(PurePosixPath(str(path)).name for path in found))
        return self._listing

    def _manifest(self, name: str, table: str) -> Drop:
        with self._explained(name):
            content = self._call("cat_file", f"{self._folder}/{name}", start=0, end=MANIFEST_BYTES)
        return read_manifest(name, content, self._node_code, table)

    def _fetch(self, drop: Drop, spool: IO[bytes]) -> None:
        """Stream the file to ``spool`` and take its SHA-256 on the way."""
        digest, deadline, size = hashlib.sha256(), time.monotonic() + FILE_SECONDS, 0
        path = f"{self._folder}/{drop.file}"
        if getattr(self._fs, "local_file", False) and self._fs.info(path).get("islink"):
            raise ManifestError(f"{self._named}: {drop.file} is a link, not a file: it was not read")
        with self._explained(drop.file), self._fs.open(path, "rb") as remote:
            read = self._reader(remote)
            while chunk := read(CHUNK):
                size += len(chunk)
                if size > FILE_BYTES:
                    raise ManifestError(
                        f"{self._named}: {drop.file} is larger than {FILE_BYTES >> 20} MB: it was not loaded; ask the"
                        " node to split the drop"
                    )
                self.bytes_read += len(chunk)
                digest.update(chunk)
                spool.write(chunk)
                if time.monotonic() > deadline:
                    raise SourceUnavailable(f"{self._named}: {drop.file} took longer than {FILE_SECONDS:.0f} s")
        if digest.hexdigest() != drop.sha256:
            raise ManifestError(
                f"{self._named}: {drop.file} is not the file of its manifest (SHA-256 differs): it was not loaded; "
                "ask the node to send it again"
            )
        spool.seek(0)

    def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Call the file system, bounded in time where it can be."""
        asynchronous = getattr(self._fs, f"_{name}", None)
        if getattr(self._fs, "async_impl", False) and asynchronous is not None:
            from fsspec.asyn import sync

            return sync(self._fs.loop, asynchronous, *arguments, timeout=self._call_seconds, **options)
        return getattr(self._fs, name)(*arguments, **options)

    def _reader(self, remote: Any) -> Callable[[int], bytes]:
        """``remote.read``, bounded in time where it can be: a server that stalls keeps its connection alive."""
        handle = getattr(remote, "_file", None)
        if not getattr(self._fs, "async_impl", False) or handle is None:
            return remote.read  # type: ignore[no-any-return]
        from fsspec.asyn import sync

        return lambda size: sync(self._fs.loop, handle.read, size, timeout=self._call_seconds)

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except (SourceUnavailable, SourceInconsistent, CredentialError):
            raise
        except Exception as error:
            kind = type(error)
            named = f"{self._named} at {self._connection.host or self._connection.scheme}"
            if kind.__name__ in ("PermissionDenied", "HostKeyNotVerifiable", "KeyImportError") or isinstance(
                error, PermissionError
            ):
                raise CredentialError(f"{named} refuses us ({what}): {kind.__name__}") from None
            if kind.__module__.startswith(("asyncssh", "fsspec", "sshfs", "paramiko")) or isinstance(
                error, OSError | TimeoutError | EOFError
            ):
                raise SourceUnavailable(
                    f"{named} does not answer or breaks off ({what}): {kind.__name__}: {str(error)[:200]}"
                ) from None
            raise


def read_manifest(name: str, content: bytes, node_code: str, table: str) -> Drop:
    """The drop that a manifest of this node and table describes.

    Raises:
        ManifestError: it is no manifest, or that of another node or table.
    """
    try:
        told = json.loads(content)
        drop = Drop(
            node_code=str(told["node_code"]),
            table=str(told["table"]),
            period=str(told["period"]),
            revision=int(told["revision"]),
            rows=int(told["rows"]),
            sha256=str(told["sha256"]).lower(),
            file=str(told["file"]),
            created=str(told["created"]),
            charset=str(told.get("charset") or "gb18030"),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ManifestError(f"{name} is no manifest ({type(error).__name__}: {error})") from None
    if drop.node_code != node_code or drop.table != table:
        raise ManifestError(f"{name} is of node {drop.node_code[:20]} and table {drop.table[:40]}")
    if not (_PERIOD.fullmatch(drop.period) and _SHA256.fullmatch(drop.sha256) and _CLOCK.fullmatch(drop.created)):
        raise ManifestError(f"{name}: period, sha256 or created is not of its form")
    if drop.rows < 0 or PurePosixPath(drop.file).name != drop.file or not drop.file.endswith(DATA_SUFFIXES):
        raise ManifestError(f"{name}: rows or file is not of its form")
    return drop


def open_table(
    file: IO[bytes], name: str, charset: str, request: Request, *, delete_column: str, delete_value: str
) -> TextTable:
    """The rows of a data file, by the ending of its name.

    Raises:
        ManifestError, SourceInconsistent: it is not of its format.
    """
    match PurePosixPath(name).suffix.lower():
        case ".csv":
            return read_csv(file, charset)
        case ".xlsx":
            return read_xlsx(file, request.primary_key)
        case _:
            return read_xml(file, delete_column, delete_value, request.columns)


def table_batches(table: TextTable) -> Iterator[pa.RecordBatch]:
    """Rows of text as record batches of bounded size, with a column of the raw text of malformed ones."""
    names = (*table.columns, MALFORMED)
    blank: list[str | None] = [None] * len(table.columns)
    held: list[list[str | None]] = []
    characters = 0
    for values, raw in table.rows:
        held.append([*blank, raw] if values is None else [*values, None])
        characters += len(raw) if values is None else sum(map(len, filter(None, values)))
        if len(held) >= BATCH_ROWS or characters >= BATCH_CHARACTERS:
            yield text_batch(names, held)
            held, characters = [], 0
    if held:
        yield text_batch(names, held)


class _Present(Mapping[str, str]):
    """Columns that a file has, as far as it has been read."""

    def __init__(self, table: TextTable) -> None:
        self._table = table

    def __getitem__(self, name: str) -> str:
        if name not in self._table.present:
            raise KeyError(name)
        return "text"

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.present)

    def __len__(self) -> int:
        return len(self._table.present)


def _filesystem(connection: Connection) -> tuple[Any, str]:
    """The file system of a connection and the folder in it."""
    import fsspec

    folder = connection.path.rstrip("/") or "/"
    if connection.scheme not in ("sftp", "ssh"):
        fs, path = fsspec.core.url_to_fs(connection.uri.split("?", 1)[0])
        return fs, str(path).rstrip("/")
    import asyncssh
    from sshfs import SSHFileSystem

    logging.getLogger("asyncssh").setLevel(logging.WARNING)  # else 17 lines of it for each node in the task's log
    host_key = connection.query.get("host_key")
    known_hosts: Any = None
    if host_key:
        kind, _, key = host_key.partition(" ")
        line = f"{_host_pattern(connection)} {kind} {key.replace(' ', '+')}\n"  # a + that was not quoted is a space
        known_hosts = asyncssh.import_known_hosts(line)
    elif connection.query.get("known_hosts") not in (None, "none"):
        known_hosts = connection.query["known_hosts"]
    elif connection.query.get("known_hosts") is None:
        raise CredentialError(
            f"connection {connection.conn_id!r} names no host_key: add ?host_key=<type base64>, a file of known_hosts, "
            "or known_hosts=none to accept any"
        )
    fs = SSHFileSystem(
        connection.host,
        port=connection.port or 22,
        username=connection.login,
        password=connection.password,
        known_hosts=known_hosts,
        client_keys=None,
        agent_path=None,
        config=None,
        connect_timeout=CONNECT_SECONDS,
        login_timeout=CONNECT_SECONDS,
        keepalive_interval=15,
        keepalive_count_max=3,
        skip_instance_cache=True,
    )
    return fs, folder


def _host_pattern(connection: Connection) -> str:
    port = connection.port or 22
    return connection.host if port == 22 else f"[{connection.host}]:{port}"
