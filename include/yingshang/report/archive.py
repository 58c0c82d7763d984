"""Where the reports of the nights are kept: ``<state>/reports/<night>.html``, and a list of them beside."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import html
import json
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from yingshang.publish.announcement import Announcement
from yingshang.report.facts import night_facts
from yingshang.report.model import NightFacts
from yingshang.report.page import headline, index_page, night_page
from yingshang.settings import settings

log = logging.getLogger(__name__)
MARK = re.compile(r'<meta name="yingshang-report" content="([^"]*)">')
HEAD_BYTES = 8192


@dataclass(frozen=True)
class Written:
    """A report that was written. ``kept``: where the earlier report of the night has gone, if there was one."""

    path: Path
    night: dt.date
    publication_id: int | None
    headline: str
    kept: Path | None = None


@dataclass(frozen=True)
class Entry:
    """A report in the list."""

    file: str
    night: str
    publication: int | None
    written: str
    headline: str
    earlier: tuple[tuple[str, str], ...] = ()


def reports_dir() -> Path:
    """The folder of the reports; not made by this call."""
    return settings().state / "reports"


def write_report(run_id: str, announced: Announcement | None = None) -> Written:
    """Write the report of a run to the archive, atomically, and the list of reports.

    The newest report of a night is ``<night>.html``. One of another publication (or of another run that published
    nothing) is kept beside it as ``<night>.publication-<id>.html``; the same run's report is replaced.

    Args:
        announced: what was announced a moment ago: spares counting the rows of the marts again.

    Raises:
        UsageError: no such run.
        CredentialError, WarehouseUnavailable: the warehouse does not answer.
        OSError: the folder can't be written.
    """
    facts = night_facts(run_id, announced)
    page = night_page(facts)
    folder = reports_dir()
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        path = folder / f"{facts.run.night}.html"
        kept = _keep_earlier(path, facts)
        write_atomically(path, page)
        write_atomically(folder / "index.html", index_page(entries(folder)))
    written = Written(
        path=path,
        night=facts.run.night,
        publication_id=facts.publication.publication_id if facts.publication else None,
        headline=headline(facts),
        kept=kept,
    )
    log.info("report of night %s: %s", written.night, written.path)
    return written


def entries(folder: Path) -> list[Entry]:
    """The reports of a folder, newest night first, with the earlier ones of the same night."""
    newest: dict[str, tuple[str, dict[str, object]]] = {}
    earlier: dict[str, list[tuple[str, str]]] = {}
    for file in sorted(folder.glob("????-??-??*.html")):
        said = _mark_of(file)
        if said is None:
            continue
        night = str(said["night"])
        if file.stem == night:
            newest[night] = (file.name, said)
        else:
            earlier.setdefault(night, []).append((file.name, str(said["written"])))
    return [
        Entry(
            file=file,
            night=night,
            publication=int(str(said["publication"])) if said["publication"] is not None else None,
            written=str(said["written"]),
            headline=str(said["headline"]),
            earlier=tuple(earlier.get(night, ())),
        )
        for night, (file, said) in sorted(newest.items(), reverse=True)
    ]


def write_atomically(path: Path, text: str) -> None:
    """Write a whole file or none of it. Call it under the folder's lock: what a kill has left is written over."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _keep_earlier(path: Path, facts: NightFacts) -> Path | None:
    said = _mark_of(path) if path.exists() else None
    if said is None:
        return None
    publication = facts.publication.publication_id if facts.publication else None
    if said["run"] == facts.run.run_id and said["publication"] in (None, publication):
        return None
    if said["publication"] is not None and said["publication"] == publication:
        return None
    name = (
        f"{path.stem}.publication-{said['publication']}"
        if said["publication"] is not None
        else f"{path.stem}.unpublished-{re.sub(r'[^0-9]', '', str(said['written']))[:14]}"
    )
    kept = path.with_name(f"{name}.html")
    path.replace(kept)
    return kept


def _mark_of(file: Path) -> dict[str, object] | None:
    """What a report says of itself; None for a file that is not one."""
    with file.open("rb") as opened:
        found = MARK.search(opened.read(HEAD_BYTES).decode("utf-8", errors="ignore"))
    if not found:
        return None
    try:
        said = json.loads(html.unescape(found[1]))
    except json.JSONDecodeError:
        return None
    return (
        said
        if isinstance(said, dict) and said.keys() >= {"night", "run", "publication", "written", "headline"}
        else None
    )


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Two runs of one night must not lose each other's report."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
