"""What ingest leaves behind and may go: quarantined rows past their time, landed files without a batch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from yingshang.ingest.landing import PARTIAL, LandingUnavailable
from yingshang.settings import settings

if TYPE_CHECKING:
    from yingshang.warehouse import PgConnection

CHUNK_ROWS = 10_000
ORPHAN_AGE = timedelta(days=1)
_LANDED = re.compile(r"[a-z_]+/[a-z_]+/\d{4}-\d{2}-\d{2}/\d{6}-(\d{1,18})\.parquet(?:\.partial)?")
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "created")


@dataclass(frozen=True)
class LandingFileFound:
    """A file by its path below the landing zone. ``size`` in bytes; ``modified`` None: the store does not say."""

    path: str
    batch_id: int
    size: int
    modified: datetime | None


@dataclass(frozen=True)
class LandingZone:
    """What lies in the landing zone.

    Attributes:
        files: landed files in all, half written ones included.
        orphans: of batches that the ledger does not know, older than a day.
        ahead: of batches with a number that the ledger has not given out yet: of another warehouse, or of this one
            before it was restored. They may be the only copy of their rows and are never removed.
        foreign: files with no name of ours; they are left alone.
    """

    files: int
    orphans: tuple[LandingFileFound, ...]
    ahead: tuple[LandingFileFound, ...]
    foreign: int


def count_expired(connection: PgConnection) -> int:
    """Quarantined rows whose payload has expired."""
    row = connection.execute("select count(*) from quarantine.row where expires_at <= now()").fetchone()
    return int(row[0]) if row else 0


def remove_expired(connection: PgConnection) -> int:
    """Remove them, some at a time. ``connection``: as ingest, autocommit. Returns how many went."""
    removed = 0
    while True:
        gone = connection.execute(
            "delete from quarantine.row where quarantine_id in"
            " (select quarantine_id from quarantine.row where expires_at <= now() limit %s)",
            (CHUNK_ROWS,),
        ).rowcount
        removed += gone
        if gone < CHUNK_ROWS:
            return removed


def look_through_landing(connection: PgConnection, *, now: datetime | None = None) -> LandingZone:
    """Compare the landing zone with the ledger.

    A file is told by the batch number in its name, wherever the landing zone has been moved to. A file half written
    (``.partial``) belongs to no batch.

    Raises:
        LandingUnavailable: the store cannot be listed.
    """
    oldest = (now or datetime.now(UTC)) - ORPHAN_AGE
    found, foreign = _files()
    old = [one for one in found if one.modified is not None and one.modified < oldest]
    known = _known(connection, [one.batch_id for one in old])
    row = connection.execute("select coalesce(pg_sequence_last_value('ops.batch_id_seq'), 0)").fetchone()
    last = int(row[0]) if row else 0
    loose = [one for one in old if one.batch_id not in known or one.path.endswith(PARTIAL)]
    return LandingZone(
        len(found),
        tuple(one for one in loose if one.batch_id <= last),
        tuple(one for one in loose if one.batch_id > last),
        foreign,
    )


def remove_files(files: Sequence[LandingFileFound]) -> int:
    """Remove landed files. Returns how many went; one that is gone already counts for none.

    Raises:
        LandingUnavailable: the store refuses.
    """
    fs, root = _store()
    removed = 0
    for one in files:
        try:
            fs.rm_file(f"{root}/{one.path}")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _unavailable(error, f"{one.path} cannot be removed") from error
        removed += 1
    return removed


def put_aside(connection: PgConnection, folder: str) -> tuple[int, int]:
    """Move the files of batches that the ledger does not know out of the way, below ``folder`` of the landing zone.

    For a ledger that was restored: it gives out numbers again that are in the names of these files, and housekeeping
    would take them for orphans, while they may be the only copy of their rows. Returns how many were moved, and how
    many batches of the ledger have no file here.

    Raises:
        LandingUnavailable: the store cannot be listed, or refuses.
    """
    found, _ = _files()
    fs, root = _store()
    rows = connection.execute("select batch_id from ops.batch where landing_uri is not null").fetchall()
    known = {int(batch_id) for (batch_id,) in rows}
    unknown = [one for one in found if one.batch_id not in known]
    for one in unknown:
        path = f"{root}/{folder}/{one.path}"
        try:
            fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            fs.mv(f"{root}/{one.path}", path)
        except OSError as error:
            raise _unavailable(error, f"{one.path} cannot be moved") from error
    return len(unknown), len(known - {one.batch_id for one in found})


def _files() -> tuple[list[LandingFileFound], int]:
    fs, root = _store()
    try:
        listing: dict[str, dict[str, Any]] = fs.find(root, detail=True)
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise _unavailable(error, "it cannot be listed") from error
    found: list[LandingFileFound] = []
    foreign = 0
    for path, info in listing.items():
        below = path.removeprefix(root).lstrip("/")
        match = _LANDED.fullmatch(below)
        if match is None or info.get("islink"):
            foreign += 1
            continue
        found.append(LandingFileFound(below, int(match[1]), int(info.get("size") or 0), _modified(info)))
    return found, foreign


def _modified(info: dict[str, Any]) -> datetime | None:
    for name in _TIMES:
        match info.get(name):
            case datetime() as moment:
                return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            case int() | float() as seconds:
                return datetime.fromtimestamp(seconds, UTC)
    return None


def _known(connection: PgConnection, batch_ids: Sequence[int]) -> set[int]:
    known: set[int] = set()
    for some in _chunks(batch_ids):
        rows = connection.execute("select batch_id from ops.batch where batch_id = any(%s)", (some,))
        known.update(batch_id for (batch_id,) in rows)
    return known


def _chunks(batch_ids: Sequence[int]) -> Iterator[list[int]]:
    for start in range(0, len(batch_ids), CHUNK_ROWS):
        yield list(batch_ids[start : start + CHUNK_ROWS])


def _store() -> tuple[Any, str]:
    import fsspec

    fs, root = fsspec.core.url_to_fs(settings().landing)
    return fs, str(root).rstrip("/")


def _unavailable(error: OSError, what: str) -> LandingUnavailable:
    said = error.strerror or type(error).__name__
    return LandingUnavailable(f"landing zone {settings().landing}: {what} ({said}): check the store")
