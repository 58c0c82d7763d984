"""Landing: one immutable Parquet file per batch, on any store that fsspec can reach.

A file is written under a temporary name while its SHA-256 is taken, read back and compared, and only then moved to its
name, so that no half file ever has one.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from dataclasses import dataclass
from datetime import date
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from yingshang.errors import TransientError
from yingshang.settings import settings

if TYPE_CHECKING:
    import pyarrow as pa

COMPRESSION = "snappy"
ROW_GROUP_ROWS = 1 << 17
PARTIAL = ".partial"
CHUNK = 1 << 20


class LandingUnavailable(TransientError):
    """The landing zone cannot be written, or gives back something else than was written."""


@dataclass(frozen=True)
class LandedFile:
    """A file of the landing zone. ``size`` in bytes."""

    uri: str
    size: int
    sha256: str
    rows: int


class LandingFile:
    """One file being written. :meth:`finish` gives it its name; :meth:`discard` leaves nothing."""

    def __init__(
        self, system: str, dataset: str, night: date, node_code: str, batch_id: int, schema: pa.Schema
    ) -> None:
        import pyarrow.parquet as pq

        folder = f"{settings().landing.rstrip('/')}/{system}/{dataset}/{night.isoformat()}"
        self._store = _store(folder)
        self._name = f"{node_code}-{batch_id}.parquet"
        self._uri = f"{folder}/{self._name}"
        with _explained(self._uri):
            self._store.prepare(f"{node_code}-")
            self._file = _Hashing(self._store.create(self._name + PARTIAL))
            self._writer = pq.ParquetWriter(
                self._file, schema, compression=COMPRESSION, use_dictionary=False, write_statistics=False
            )
        self._rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        with _explained(self._uri):
            self._writer.write_batch(batch, row_group_size=ROW_GROUP_ROWS)
        self._rows += batch.num_rows

    def finish(self) -> LandedFile:
        """Close, read back, compare, move. Raises LandingUnavailable."""
        import pyarrow.parquet as pq

        with _explained(self._uri):
            self._writer.close()
            self._file.close()
            digest, size = hashlib.sha256(), 0
            with self._store.open(self._name + PARTIAL) as file:
                while chunk := file.read(CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                file.seek(0)
                rows = pq.ParquetFile(file).metadata.num_rows
            if (digest.hexdigest(), size, rows) != (self._file.sha256, self._file.size, self._rows):
                raise LandingUnavailable(
                    f"{self._uri}: read back {rows} rows and {size} bytes, written were {self._rows} rows and "
                    f"{self._file.size} bytes, or the content differs: check the store"
                )
            self._store.move(self._name + PARTIAL, self._name)
        return LandedFile(self._uri, size, digest.hexdigest(), rows)

    def discard(self) -> None:
        """Remove what was written."""
        with contextlib.suppress(Exception):
            self._writer.close()
        with contextlib.suppress(Exception):
            self._file.close()
        for name in (self._name + PARTIAL, self._name):
            with contextlib.suppress(OSError):
                self._store.remove(name)


@contextlib.contextmanager
def _explained(uri: str) -> Any:
    try:
        yield
    except OSError as error:
        raise LandingUnavailable(
            f"landing file {uri} cannot be written ({type(error).__name__}: {error.strerror or error}): check the store"
        ) from error


def _store(folder: str) -> _LocalFolder | _RemoteFolder:
    parts = urlsplit(folder)
    if parts.scheme in ("", "file"):
        return _LocalFolder(url2pathname(parts.path))
    return _RemoteFolder(folder)


class _LocalFolder:
    """A folder of this machine."""

    def __init__(self, path: str) -> None:
        self._path = path

    def prepare(self, stale_prefix: str) -> None:
        """Make the folder; remove what a killed attempt of the same node left half written."""
        os.makedirs(self._path, mode=0o750, exist_ok=True)  # noqa: PTH103
        with os.scandir(self._path) as entries:
            for entry in entries:
                if entry.name.startswith(stale_prefix) and entry.name.endswith(PARTIAL):
                    os.unlink(entry.path)  # noqa: PTH108

    def create(self, name: str) -> IO[bytes]:
        return open(os.open(self._at(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "wb")  # noqa: PTH123

    def open(self, name: str) -> IO[bytes]:
        return open(self._at(name), "rb")  # noqa: PTH123

    def move(self, old: str, new: str) -> None:
        with open(self._at(old), "rb") as file:  # noqa: PTH123
            os.fsync(file.fileno())
        os.rename(self._at(old), self._at(new))  # noqa: PTH104

    def remove(self, name: str) -> None:
        os.unlink(self._at(name))  # noqa: PTH108

    def _at(self, name: str) -> str:
        return os.path.join(self._path, name)  # noqa: PTH118


class _RemoteFolder:
    """A folder of a store that fsspec knows."""

    def __init__(self, url: str) -> None:
        import fsspec

        self._fs, self._path = fsspec.core.url_to_fs(url)

    def prepare(self, stale_prefix: str) -> None:
        self._fs.makedirs(self._path, exist_ok=True)
        for path in self._fs.ls(self._path, detail=False):
            name = str(path).rsplit("/", 1)[-1]
            if name.startswith(stale_prefix) and name.endswith(PARTIAL):
                self._fs.rm_file(path)

    def create(self, name: str) -> IO[bytes]:
        return self._fs.open(f"{self._path}/{name}", "wb")  # type: ignore[no-any-return]

    def open(self, name: str) -> IO[bytes]:
        return self._fs.open(f"{self._path}/{name}", "rb")  # type: ignore[no-any-return]

    def move(self, old: str, new: str) -> None:
        self._fs.mv(f"{self._path}/{old}", f"{self._path}/{new}")

    def remove(self, name: str) -> None:
        self._fs.rm_file(f"{self._path}/{name}")


class _Hashing(io.RawIOBase):
    """A file that knows the SHA-256 and size of what was written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._digest, self.size = file, hashlib.sha256(), 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._digest.update(data)
        self._file.write(data)
        count = memoryview(data).nbytes
        self.size += count
        return count

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        if not self._file.closed:
            self._file.flush()

    def close(self) -> None:
        if not self._file.closed:
            self._file.flush()
            self._file.close()
        super().close()
