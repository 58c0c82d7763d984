"""Housekeeping, week by week: what is past its time goes, what grew loose is tightened. Nothing that counts is touched.

Each step stands alone, can be repeated, and only tells what it would do in a dry run.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from yingshang.errors import YingshangError
from yingshang.settings import settings


@dataclass(frozen=True)
class Done:
    """What a step did.

    Attributes:
        found: things that are due; ``done`` of them were dealt with (none in a dry run).
        bytes: what they took, or in a VACUUM what was given back; None: not known.
        notes: which, and what a person should look at.
        error: why the step broke off.
    """

    step: str
    about: str
    found: int = 0
    done: int = 0
    bytes: int | None = None
    notes: tuple[str, ...] = ()
    error: str | None = None


def expire_quarantine(dry_run: bool) -> Done:
    """Remove quarantined rows whose payload has expired (``YINGSHANG_QUARANTINE_DAYS``)."""
    from yingshang.ingest.retention import count_expired, remove_expired
    from yingshang.warehouse import session

    with session("ingest", autocommit=True) as connection:
        found = count_expired(connection)
        done = 0 if dry_run or not found else remove_expired(connection)
    return Done("quarantine", "quarantined rows past their time", found, done)


def remove_orphans(dry_run: bool) -> Done:
    """Remove landed files older than a day of batches that never came to be: a load was killed after landing."""
    from yingshang.ingest.retention import look_through_landing, remove_files
    from yingshang.warehouse import session

    with session("ingest", autocommit=True) as connection:
        zone = look_through_landing(connection)
    done = 0 if dry_run else remove_files(zone.orphans)
    notes = [one.path for one in zone.orphans]
    if zone.ahead:
        notes.append(
            f"{len(zone.ahead)} files have a batch number that this ledger has not given out yet, such as"
            f" {zone.ahead[0].path}: of another warehouse, or of this one before it was restored; they stay"
        )
    if zone.foreign:
        notes.append(f"{zone.foreign} files in {settings().landing} are none of ours; they stay")
    size = sum(one.size for one in zone.orphans)
    return Done("landing", "landed files without a batch", len(zone.orphans), done, size, tuple(notes))


def drop_past_builds(dry_run: bool) -> Done:
    """Drop the schemas of past nights built longer ago than ``YINGSHANG_PAST_BUILD_DAYS``; any can be built again."""
    from yingshang.publish import drop_as_of, list_as_of

    oldest = dt.datetime.now(dt.UTC) - dt.timedelta(days=settings().past_build_days)
    due = [one for one in list_as_of() if one.started_at is not None and one.started_at < oldest]
    done = 0
    if not dry_run:
        for one in due:
            drop_as_of(one.night)
            done += 1
    about = "past nights, built to be looked at"
    return Done(
        "past nights", about, len(due), done, sum(one.bytes for one in due), tuple(one.schema_name for one in due)
    )


def vacuum_tables(dry_run: bool) -> Done:
    """VACUUM and ANALYZE tables of raw, quarantine and ops with many dead rows or old statistics."""
    from yingshang.warehouse import session
    from yingshang.warehouse.bloat import bloated_tables, vacuum

    notes: list[str] = []
    freed = 0
    with session("owner", autocommit=True) as connection:
        found = bloated_tables(connection)
        for one in found:
            notes.append(f"{one.schema}.{one.table}: {one.dead_rows:,} dead rows beside {one.live_rows:,}")
            if not dry_run:
                freed += one.bytes - vacuum(connection, one)
    done = 0 if dry_run else len(found)
    return Done("vacuum", "tables with dead rows or old statistics", len(found), done, freed, tuple(notes))


STEPS: Mapping[str, Callable[[bool], Done]] = {
    "quarantine": expire_quarantine,
    "landing": remove_orphans,
    "past nights": drop_past_builds,
    "vacuum": vacuum_tables,
}
"""The steps in their order: what is removed first is swept up last."""


def maintain(*, dry_run: bool = False) -> list[Done]:
    """All steps. One that fails does not stop the others; its error stands in its row."""
    done: list[Done] = []
    for name, step in STEPS.items():
        try:
            done.append(step(dry_run))
        except YingshangError as error:
            done.append(Done(name, "", error=f"{type(error).__name__}: {error}"))
    return done
