"""Write a new province, and advance it by a night: books, drops and truth. No server is touched here."""

import shutil
from datetime import date, timedelta
from pathlib import Path

from simulator.books import FIRST_NIGHT, Books, Meta, Night, ProvinceError, date_of, save_meta, write_atomically
from simulator.fleet import Fleet, fleet
from simulator.outbox import write_drops
from simulator.trading.history import TINY_SCALE, history
from simulator.trading.nights import next_night
from simulator.trading.schema import TRADING
from simulator.trading.world import world
from simulator.truth import write_truth

DEFAULT_SCALE = 0.02


def new_books(root: Path, *, seed: int, scale: float, profile: str | None) -> Books:
    """Write the history of a new province under ``root``.

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
    for leftover in ("books", "sftp", "truth"):
        shutil.rmtree(root / leftover, ignore_errors=True)
    (root / "settled").unlink(missing_ok=True)
    root.mkdir(parents=True, exist_ok=True)
    books = Books(root, TRADING)
    content = history(world(seed, scale), members, scale)
    books.write(FIRST_NIGHT, content)
    save_meta(root, Meta(seed, scale, profile, FIRST_NIGHT.isoformat(), {TRADING.name: content.counters}))
    settle(books)
    return books


def members(meta: Meta) -> Fleet:
    return fleet(meta.profile)


def prepare_night(books: Books) -> tuple[date, Night]:
    """Write the files of the next night, the same at each call. They count once :func:`commit_night` has run."""
    meta = books.meta
    night = meta.last_night + timedelta(days=1)
    content = next_night(world(meta.seed, meta.scale), members(meta), books, night)
    books.write(night, content)
    return night, content


def commit_night(books: Books, night: date, content: Night) -> None:
    """Make ``night`` the last night of the books; its drops and its truth follow."""
    meta = books.meta
    save_meta(
        books.root, Meta(meta.seed, meta.scale, meta.profile, night.isoformat(), {TRADING.name: content.counters})
    )
    settle(books)


def settle(books: Books) -> None:
    """Write drops and truth of every night that lacks them, also after a process was killed between them."""
    mark = books.root / "settled"
    done = int(mark.read_text()) if mark.exists() else 0
    for night in books.nights():
        if night > done:
            write_drops(books, members(books.meta), night)
            write_truth(books, members(books.meta), date_of(night))
            write_atomically(mark, str(night))
