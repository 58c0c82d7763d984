"""Data Docs: a site of Great Expectations' pages per run of a gate, and one index of ours over all of them.

``<data_docs>/<stage>/<night>_<run>_<time>/index.html`` is never changed once written, so gates that run side by side
cannot disturb each other; ``<data_docs>/index.html`` is made anew from the sites that are there. The assets of the
sites are the same files (hard links). The newest :data:`KEPT_SITES` of each stage are kept.
"""

import contextlib
import datetime as dt
import html
import json
import logging
import os
import re
import shutil
import uuid
from pathlib import Path
from typing import Any

from yingshang.quality.checks import Checks
from yingshang.settings import settings

_log = logging.getLogger(__name__)

KEPT_SITES = 120
SHOWN_LINES = 200
SUMMARY = "summary.json"


def new_site(stage: str, night: dt.date, name: str) -> Path:
    """The folder of a new site; it is made when the site is published."""
    slug = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[-60:]
    return settings().data_docs / stage / f"{night}_{slug}_{uuid.uuid4().hex[:8]}"


def publish_site(
    checks: Checks, *, stage: str, night: dt.date, run_id: str | None, lines: list[str], verdict: str
) -> str | None:
    """Write the site of ``checks`` and the index over all sites.

    Args:
        lines: the messages of the rules that failed.
        verdict: what the gate decided, in a few words.

    Returns:
        The path of the site's first page; None when the disk refuses it: pages are no reason to stop a night.
    """
    try:
        page = checks.publish()
        summary = {
            "stage": stage,
            "night": night.isoformat(),
            "run_id": run_id,
            "verdict": verdict,
            "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "lines": lines[:SHOWN_LINES],
            "more": max(0, len(lines) - SHOWN_LINES),
        }
        (checks.site / SUMMARY).write_text(json.dumps(summary, ensure_ascii=False, indent=1), encoding="utf-8")
        _share_assets(checks.site)
        _forget_old_sites(checks.site.parent)
        _write_index(settings().data_docs)
    except OSError as error:
        _log.warning("no Data Docs for the %s gate of %s: %s", stage, night, error)
        return None
    return str(page)


def _share_assets(site: Path) -> None:
    """Replace the site's static files by links to the one copy in ``<data_docs>/static``."""
    shared = settings().data_docs / "static"
    for path in (site / "static").rglob("*"):
        if not path.is_file():
            continue
        kept = shared / path.relative_to(site / "static")
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.link(path, kept)
        if kept.stat().st_size == path.stat().st_size and not kept.samefile(path):
            partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
            os.link(kept, partial)
            partial.replace(path)


def _forget_old_sites(folder: Path) -> None:
    sites = sorted(folder.glob(f"*/{SUMMARY}"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in sites[KEPT_SITES:]:
        shutil.rmtree(path.parent, ignore_errors=True)


def _write_index(root: Path) -> None:
    found: list[tuple[dict[str, Any], Path]] = []
    for path in root.glob(f"*/*/{SUMMARY}"):
        with contextlib.suppress(FileNotFoundError, ValueError):
            found.append((json.loads(path.read_text(encoding="utf-8")), path.parent))
    found.sort(key=lambda item: item[0]["at"], reverse=True)
    rows = "\n".join(_index_row(summary, site.relative_to(root)) for summary, site in found)
    partial = root / f".index.{uuid.uuid4().hex}.partial"
    partial.write_text(_INDEX.format(rows=rows), encoding="utf-8")
    partial.replace(root / "index.html")


def _index_row(summary: dict[str, Any], place: Path) -> str:
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in summary["lines"])
    more = f"<li>and {summary['more']} more</li>" if summary["more"] else ""
    details = f"<details><summary>{len(summary['lines']) + summary['more']}</summary><ul>{lines}{more}</ul></details>"
    cells = (
        html.escape(summary["night"]),
        f'<a href="{html.escape(place.as_posix())}/index.html">{html.escape(summary["stage"])}</a>',
        html.escape(summary["verdict"]),
        details if lines else "none",
        html.escape(str(summary["run_id"] or "")),
        html.escape(summary["at"]),
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


_INDEX = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Yingshang: checks</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem; }}
table {{ border-collapse: collapse; }}
td, th {{ border-bottom: 1px solid #ccc; padding: .3rem .8rem; text-align: left; vertical-align: top; }}
</style></head><body>
<h1>Checks, newest first</h1>
<table><tr><th>night</th><th>gate</th><th>verdict</th><th>failed rules</th><th>run</th><th>at (UTC)</th></tr>
{rows}
</table></body></html>
"""
