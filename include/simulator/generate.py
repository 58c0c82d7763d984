"""Write a new province, and advance it by a night: books, drops and truth. No server is touched here."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from simulator.books import (
    FIRST_NIGHT,
    Books,
    Meta,
    ProvinceError,
    date_of,
    number_of,
    read_json,
    read_meta,
    save_meta,
    write_atomically,
)
from simulator.canaries import planted
from simulator.fleet import Fleet, fleet
from simulator.outbox import write_drops
from simulator.source import Context, Request, Source
from simulator.systems import SOURCES
from simulator.truth import write_truth

DEFAULT_SCALE = 0.02
TINY_SCALE = 0.002


@dataclass(frozen=True)
class Prepared:
    """A night that is written but does not count yet."""

    night: date
    counters: Mapping[str, dict[str, int]]


def new_province(root: Path, *, seed: int, scale: float, profile: str | None, has_canaries: bool = False) -> None:
    """Write the history of a new province under ``root``. ``has_canaries``: see :mod:`simulator.canaries`.

    Raises:
        ProvinceError: there is a province already, or scale or profile make no sense.
    """
    if (root / "province.json").exists():
        raise ProvinceError(f"there is a province in {root} already: use it, or remove the folder first")
    if not 0 < scale <= 20:
        raise ProvinceError(f"scale {scale} is not between 0 and 20 (1 = the published sizes)")
    try:
        members = fleet(profile)
    except ValueError as error:
        raise ProvinceError(str(error)) from None
    scale = TINY_SCALE if profile == "tiny" else scale
    for leftover in ("books", "sftp", "truth", "requests"):
        shutil.rmtree(root / leftover, ignore_errors=True)
    (root / "settled").unlink(missing_ok=True)
    root.mkdir(parents=True, exist_ok=True)
    counters = {}
    for source in SOURCES:
        context = Context(source.system, seed, scale, profile, members.of_system(source.system))
        content = source.history(context)
        content = planted(source.system, content) if has_canaries else content
        Books(root, source.system).write(FIRST_NIGHT, content)
        counters[source.system.name] = content.counters
        del content  # before the next system's history is made: the largest are of millions of rows
    save_meta(root, Meta(seed, scale, profile, FIRST_NIGHT.isoformat(), counters, has_canaries=has_canaries))
    settle(root)


def all_books(root: Path) -> tuple[Books, ...]:
    """The books of every system."""
    return tuple(Books(root, source.system) for source in SOURCES)


def members(meta: Meta) -> Fleet:
    return fleet(meta.profile)


def prepare_night(root: Path) -> Prepared:
    """Write the files of the next night, the same at each call. They count once :func:`commit_night` has run."""
    meta = read_meta(root)
    night = meta.last_night + timedelta(days=1)
    counters = {}
    for source in SOURCES:
        books = Books(root, source.system)
        content = source.next_night(_context(root, meta, source, night), books, night)
        content = planted(source.system, content) if meta.has_canaries else content
        books.write(night, content)
        counters[source.system.name] = content.counters
    return Prepared(night, counters)


def commit_night(root: Path, prepared: Prepared) -> None:
    """Make a prepared night the last one of all books; its drops and its truth follow."""
    meta = read_meta(root)
    save_meta(root, replace(meta, night=prepared.night.isoformat(), counters=dict(prepared.counters)))
    settle(root)


def settle(root: Path) -> None:
    """Write drops and truth of every night that lacks them, also after a process was killed between them."""
    mark = root / "settled"
    done = int(mark.read_text()) if mark.exists() else 0
    everyone = members(read_meta(root))
    books = all_books(root)
    for night in books[0].nights():
        if night > done:
            for entry in books:
                write_drops(entry, everyone.of_system(entry.system), night)
            write_truth(root, everyone, date_of(night))
            write_atomically(mark, str(night))


def add_request(root: Path, request: Request) -> date:
    """Note a change for the next night, which is returned. Nothing happens before the province advances.

    Raises:
        ProvinceError: the system can't do what is asked.
    """
    source = next(source for source in SOURCES if source.system.name == request.system)
    source.check(Books(root, source.system), request)
    night = read_meta(root).last_night + timedelta(days=1)
    path = _requests(root, night)
    path.parent.mkdir(exist_ok=True)
    content = [*read_json(path).get("requests", []), asdict(request)]
    write_atomically(path, json.dumps({"requests": content}, indent=1, ensure_ascii=False))
    return night


def _context(root: Path, meta: Meta, source: Source, night: date) -> Context:
    asked = tuple(Request(**entry) for entry in read_json(_requests(root, night)).get("requests", []))
    return Context(
        source.system,
        meta.seed,
        meta.scale,
        meta.profile,
        members(meta).of_system(source.system),
        tuple(request for request in asked if request.system == source.system.name),
    )


def _requests(root: Path, night: date) -> Path:
    return root / "requests" / f"{number_of(night)}.json"
