"""Drops of the file counties: CSV in GB18030, XLSX in 万元 under header rows, XML envelopes, each with a manifest.

A drop is the delta of its period; the first one is the whole history. Files appear under a partial name first, and the
manifest comes last, so that a reader who waits for manifests never sees half a drop. Same books, same bytes.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from simulator.books import Books, Drop, clock_after, date_of
from simulator.control import Control, read_control
from simulator.fleet import Fleet, Node
from simulator.sheet import escaped, workbook
from simulator.tables import Table
from simulator.truth import drops_of


@dataclass(frozen=True)
class _Job:
    """One file to write."""

    folder: Path
    node: Node
    table: Table
    drop: Drop
    frame: pl.DataFrame
    created: str
    faults: tuple[str, ...]


def outbox(root: Path, login: str) -> Path:
    """Where the drops of a county's system stand; its parent is what the SFTP login sees as /."""
    return root / "sftp" / login / "outbox"


def originals(root: Path, login: str) -> Path:
    """Where the right files lie while a fault has spoilt the delivered ones."""
    return root / "spoilt" / login


def write_drops(books: Books, fleet: Fleet, night: int) -> int:
    """Write the drops that appear in ``night`` (yyyymmdd). Returns how many. Writing them again changes nothing."""
    control = read_control(books.root)
    drops = drops_of(books, fleet, night)
    created = clock_after(date_of(night))
    nodes = {node.index: node for node in fleet.nodes}
    jobs: list[_Job] = []
    for table in books.system.tables:
        wanted = [drop for drop in drops if drop.dataset == table.dataset]
        if not wanted:
            continue
        frame = books.delivered_by(table.dataset, night, sorted({drop.node for drop in wanted}))
        parts = frame.partition_by("_node", "_period", "_rev", as_dict=True)
        for drop in wanted:
            rows = parts.get((drop.node, drop.period, drop.revision), frame[:0])
            node = nodes[drop.node]
            jobs.append(_Job(outbox(books.root, node.login), node, table, drop, rows, created, _faults(control, node)))
    for job in jobs:
        _write(job)
    return len(drops)


def _faults(control: Control, node: Node) -> tuple[str, ...]:
    return tuple(control.faults.get(node.code, {}))


def stem_of(table: Table, drop: Drop) -> str:
    return f"{table.name}_{drop.period}" + (f"_r{drop.revision}" if drop.revision > 1 else "")


def _write(job: _Job) -> None:
    job.folder.mkdir(parents=True, exist_ok=True)
    stem, kind = stem_of(job.table, job.drop), job.node.connector
    content = WRITERS[kind](job.table, job.frame)
    manifest = {
        "node_code": job.node.code,
        "table": job.table.name,
        "period": str(job.drop.period),
        "revision": job.drop.revision,
        "rows": job.frame.height,
        "sha256": hashlib.sha256(content).hexdigest(),
        "file": f"{stem}.{kind}",
        "created": job.created,
        "charset": "GB18030" if kind == "csv" else "UTF-8",
    }
    files = {f"{stem}.{kind}": content, f"{stem}.manifest.json": json.dumps(manifest, indent=1).encode()}
    _place(job.folder, _spoil(files, job))


def _spoil(files: dict[str, bytes], job: _Job) -> dict[str, bytes]:
    """Apply the node's file faults; the right files are kept apart until the fault is lifted."""
    wanted = [fault for fault in job.faults if fault in ("no_manifest", "truncated", "wrong_hash")]
    if not wanted:
        return files
    _place(originals(job.folder.parents[2], job.node.login), files)
    name, manifest = files
    spoilt = dict(files)
    if "truncated" in wanted:
        spoilt[name] = files[name][: len(files[name]) // 2]
    if "wrong_hash" in wanted:
        content = json.loads(files[manifest])
        spoilt[manifest] = json.dumps({**content, "sha256": "0" * 64}, indent=1).encode()
    if "no_manifest" in wanted:
        del spoilt[manifest]
    return spoilt


def restore(root: Path, login: str) -> int:
    """Put the right files of a county's system in the place of spoilt ones. Returns how many files."""
    kept = originals(root, login)
    files = sorted(kept.glob("*"), key=lambda path: path.name.endswith(".manifest.json")) if kept.is_dir() else []
    for file in files:
        file.replace(outbox(root, login) / file.name)
    return len(files)


def _place(folder: Path, files: dict[str, bytes]) -> None:
    """Write files in order, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        partial = folder / f".{name}.partial"
        partial.write_bytes(content)
        partial.replace(folder / name)


def csv_bytes(table: Table, frame: pl.DataFrame) -> bytes:
    """CSV in GB18030, CRLF, a header of national names; null is an empty field."""
    if frame.is_empty():
        return (",".join(table.columns) + "\r\n").encode()
    text = frame.select(*table.columns).write_csv(line_terminator="\r\n", quote_style="necessary")
    return text.encode("gb18030")


def xlsx_bytes(table: Table, frame: pl.DataFrame) -> bytes:
    """One sheet: title with the unit, Chinese names, national names, data from row 4; amounts are numbers in 万元."""
    heading = [[f"{table.chinese}信息报送表（单位：万元）"], list(table.columns.values()), list(table.columns)]
    return workbook(table.chinese, heading, frame.select(*table.columns), table.price)


def xml_bytes(table: Table, frame: pl.DataFrame) -> bytes:
    """The envelope: <PACKAGE> of <DES> with TITLE and CONTEXT. DATA_TYPE 1 insert, 2 update, 3 delete.

    A deleted record is told by DATA_TYPE alone: its CONTEXT still carries the IS_DELETE of a living one.
    """
    records: Iterable[str] = [] if frame.is_empty() else _envelopes(table, frame)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<PACKAGE>", *records, "</PACKAGE>", ""]
    return "\n".join(lines).encode()


def _envelopes(table: Table, frame: pl.DataFrame) -> pl.Series:
    kind = (
        pl.when(pl.col("_deleted")).then(pl.lit("3"))
        .when(pl.col("_kind").is_in(["new", "late_parent", "asked", "bad", "copy"])).then(pl.lit("1"))
        .otherwise(pl.lit("2"))
    )  # fmt: skip
    living = (
        pl.when(pl.col(table.deleted) == "T").then(pl.lit("F")).when(pl.col(table.deleted) == "1").then(pl.lit("0"))
    )
    fields = [
        pl.when(pl.col(name).is_null()).then(pl.lit(f"<{name}/>")).otherwise(
            pl.concat_str(pl.lit(f"<{name}>"), escaped(pl.col(name)), pl.lit(f"</{name}>")))
        for name in table.columns
    ]  # fmt: skip
    key = pl.concat_str([escaped(pl.col(name).fill_null("")) for name in table.key], separator=",")
    return frame.with_columns(living.otherwise(table.deleted).alias(table.deleted)).with_row_index("_no").select(
        pl.concat_str(
            pl.lit("<DES><TITLE><DATA_NO>"), pl.col("_no") + 1, pl.lit(f"</DATA_NO><DATA_EN>{table.name}</DATA_EN>"),
            pl.lit(f"<DATA_CN>{table.chinese}</DATA_CN><DATA_TYPE>"), kind, pl.lit("</DATA_TYPE><DATA_KEY>"), key,
            pl.lit("</DATA_KEY><ROUTE_WAY>UP</ROUTE_WAY></TITLE><CONTEXT>"), *fields, pl.lit("</CONTEXT></DES>"),
        )
    ).to_series()  # fmt: skip


WRITERS: dict[str, Callable[[Table, pl.DataFrame], bytes]] = {"csv": csv_bytes, "xlsx": xlsx_bytes, "xml": xml_bytes}
