"""What would be rejected of a file, said to the node before it sends it: no database, no keys.

The file goes through the same functions as in a night: the formats of the connector, conform, the row checks of the
contract, the duplicates and the limits of a batch.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from yingshang.connectors.base import Request, clock_of
from yingshang.connectors.files import (
    CHUNK,
    DATA_SUFFIXES,
    FILE_BYTES,
    MANIFEST,
    MANIFEST_BYTES,
    Drop,
    open_table,
    read_manifest,
    table_batches,
)
from yingshang.errors import ManifestError, SourceInconsistent, UsageError
from yingshang.ingest.batch import drift_of
from yingshang.ingest.checks import RowChecks
from yingshang.ingest.conform import conform
from yingshang.ingest.dedupe import Deduplicator
from yingshang.ingest.reasons import Reason, explain_reason
from yingshang.ingest.rows import ROW, landed_rows

if TYPE_CHECKING:
    import polars as pl

    from yingshang.connectors.formats import TextTable
    from yingshang.contracts import Contract
    from yingshang.secrets import KeyRing

CHARSET = "gb18030"
DEFAULT_KEPT = 1000


class UnreadableFile(UsageError):
    """The file cannot be read as what its name says; nothing can be said of its rows."""


@dataclass(frozen=True)
class Problem:
    """A row that would be rejected.

    ``line``: where it begins: the line of a CSV or XML file, the row of a sheet, from 1. ``row``: its number among the
    rows of the file, from 1, as the warehouse names it.
    """

    line: int
    row: int
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class PreCheck:
    """What would become of a file.

    Attributes:
        rows: of the file; accepted + rejected + duplicates.
        duplicates: rows identical to an earlier one of the file: counted, and not loaded twice.
        problems: the rejected rows, as many as were asked for, in the order of the file.
        reasons: every reason, and how many rows have it.
        refusals: why nothing of the file would be loaded; none when it would.
        notes: what else the sender should know.
        has_manifest: whether a manifest lies beside the file.
    """

    file: str
    dataset: str
    node_code: str
    rows: int
    accepted: int
    rejected: int
    duplicates: int
    problems: tuple[Problem, ...]
    reasons: dict[str, int]
    refusals: tuple[str, ...]
    notes: tuple[str, ...]
    has_manifest: bool

    @property
    def is_clean(self) -> bool:
        """Whether all of it would be loaded."""
        return not self.rejected and not self.refusals


def check_drop(
    file: Path, contract: Contract, node_code: str, *, charset: str | None = None, kept: int | None = DEFAULT_KEPT
) -> PreCheck:
    """Check a file, and the manifest beside it if there is one, as a night would.

    Args:
        charset: of a CSV; by default that of the manifest, else GB18030.
        kept: how many rejected rows are told one by one; None: all. All are counted.

    Raises:
        UnreadableFile: there is no such file, or it is not of its format.
    """
    if file.suffix.lower() not in DATA_SUFFIXES:
        raise UnreadableFile(f"{file.name} is none of {', '.join(DATA_SUFFIXES)}: nothing else is read")
    try:
        if file.stat().st_size > FILE_BYTES:
            raise UnreadableFile(f"{file.name} is larger than {FILE_BYTES >> 20} MB: it would not be read; split it")
        with file.open("rb") as content:
            return _check(content, file, contract, node_code, charset, kept)
    except OSError as error:
        raise UnreadableFile(f"{file} cannot be read: {error.strerror or type(error).__name__}") from None
    except SourceInconsistent as error:
        raise UnreadableFile(f"{file.name}: {error}: nothing of it would be loaded") from None


def _check(
    content: IO[bytes], file: Path, contract: Contract, node_code: str, charset: str | None, kept: int | None
) -> PreCheck:
    notes: list[str] = []
    manifest, refusals = _manifest(file, contract, node_code)
    if manifest is None and not refusals:
        notes.append(
            f"no {file.stem}{MANIFEST} lies beside it: a file is read only once its manifest is there, which is written"
            " last"
        )
    if manifest is not None and (told := _sha256(content)) != manifest.sha256:
        refusals.append(f"the manifest's SHA-256 is {manifest.sha256[:12]}..., the file's is {told[:12]}...")
    if not file.name.startswith(f"{contract.table}_"):
        notes.append(f"files of {contract.name} are named {contract.table}_<yyyyMMdd>: this one would not be seen")
    clock = manifest.created if manifest else clock_of(datetime.now(UTC))
    request = Request(contract.table, contract.column_names, contract.primary_key, contract.cursor)
    table = open_table(
        content,
        file.name,
        charset or (manifest.charset if manifest else CHARSET),
        request,
        delete_column=contract.delete_column,
        delete_value=contract.delete_values[0],
    )
    lines = array("q")
    table = replace(table, rows=_noting(table, lines))
    checks = RowChecks(contract, node_code, clock, is_text=True)
    dedupe = Deduplicator(tuple(name.lower() for name in contract.personal_columns))
    ring = _throwaway_key()
    rows, rejected, accepted = 0, 0, 0
    problems: list[Problem] = []
    reasons: Counter[str] = Counter()
    try:
        for piece in table_batches(table):
            if rows == 0:
                refusals += _lost_columns(table, contract)
            frame = _numbered(conform(piece, contract), rows)
            rows += frame.height
            verdict = checks.part(frame)
            rejected += verdict.bad.height
            for number, of_row in zip(verdict.bad[ROW].to_list(), verdict.reasons, strict=True):
                reasons.update(of_row)
                if kept is None or len(problems) < kept:
                    told_of = tuple(explain_reason(one, contract, node_code) for one in of_row)
                    problems.append(Problem(lines[number - 1], number, told_of))
            if verdict.good.height:
                accepted += dedupe.new_rows(landed_rows(verdict.good, contract, 0, ring)).height
        accepted += sum(settled.height for settled in dedupe.settle())
        duplicates = dedupe.duplicates
    finally:
        dedupe.close()
    refusals += _limits(rows, rejected, contract)
    if manifest is not None and manifest.rows != rows:
        refusals.append(f"the manifest announces {manifest.rows} rows, the file has {rows}")
    notes += _drift(table, contract) if rows else ["the file has no rows"]
    return PreCheck(
        file=file.name,
        dataset=contract.name,
        node_code=node_code,
        rows=rows,
        accepted=accepted,
        rejected=rejected,
        duplicates=duplicates,
        problems=tuple(problems),
        reasons=dict(reasons.most_common()),
        refusals=tuple(refusals),
        notes=tuple(notes),
        has_manifest=manifest is not None,
    )


def _manifest(file: Path, contract: Contract, node_code: str) -> tuple[Drop | None, list[str]]:
    """The manifest beside a file, and what is wrong with it."""
    beside = file.with_name(f"{file.stem}{MANIFEST}")
    if not beside.is_file():
        return None, []
    with beside.open("rb") as told:
        content = told.read(MANIFEST_BYTES)
    try:
        manifest = read_manifest(beside.name, content, node_code, contract.table)
    except ManifestError as error:
        return None, [str(error)]
    if manifest.file != file.name:
        return manifest, [f"{beside.name} names the file {manifest.file[:60]}"]
    return manifest, []


def _sha256(content: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := content.read(CHUNK):
        digest.update(chunk)
    content.seek(0)
    return digest.hexdigest()


def _noting(table: TextTable, lines: array[int]) -> Iterator[tuple[list[str | None] | None, str]]:
    for row in table.rows:
        lines.append(table.position.line)
        yield row


def _numbered(frame: pl.DataFrame, before: int) -> pl.DataFrame:
    import polars as pl

    return frame.with_row_index(ROW, offset=before + 1).with_columns(pl.col(ROW).cast(pl.Int64))


def _throwaway_key() -> KeyRing:
    """Tokens are made only to compare rows with each other here, so any key does."""
    from yingshang.secrets import KeyRing

    return KeyRing("check", {"check": os.urandom(32)})


def _lost_columns(table: TextTable, contract: Contract) -> list[str]:
    lost = [column.name for column in contract.columns if column.required and column.name not in table.present]
    return [f"the required {', '.join(lost)} {'are' if len(lost) > 1 else 'is'} missing from its columns"] * bool(lost)


def _limits(rows: int, rejected: int, contract: Contract) -> list[str]:
    if rejected <= contract.reject_floor or rejected <= int(contract.reject_limit * rows):
        return []
    return [
        f"{rejected} of {rows} rows break the contract, more than its limit of {contract.reject_limit:.1%} (and"
        f" {contract.reject_floor} rows)"
    ]


def _drift(table: TextTable, contract: Contract) -> list[str]:
    found = drift_of(dict.fromkeys(table.present, "text"), contract)
    words = {"extra": "columns that the contract does not know, not loaded", "missing": "columns that are missing"}
    return [f"{words[key]}: {', '.join(found[key])}" for key in words if key in found]
