"""Published marts as CSV and Parquet with a Frictionless data package, streamed from one snapshot.

Metadata are read by one connection and rows by another in the same snapshot: record batches of bounded size go from
PostgreSQL to both files, so that memory does not grow with the mart.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from psycopg import sql

from yingshang.connectors.adbc import AdbcSession, is_adbc_error, safe_message
from yingshang.export.catalog import MartEntry, chosen_marts
from yingshang.export.columns import Column, csv_batch, parquet_batch, select_of
from yingshang.export.output import check_output, sha256_of, whole_folder
from yingshang.export.snapshot import (
    TIME_LIMIT,
    Publication,
    interrupted,
    publication_of,
    reader,
    snapshot,
    snapshot_dsn,
)
from yingshang.warehouse import PgConnection

if TYPE_CHECKING:
    import pyarrow as pa

Format = Literal["csv", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
PACKAGE = "datapackage.json"
BATCH_BYTES = 4 << 20
"""Size of a batch on its way from PostgreSQL; a few of them are in memory at a time."""
ROW_GROUP = 100_000
Progress = Callable[[str, int, int], None]
"""Told of a mart's name, the rows written so far, and about how many there are."""


@dataclass(frozen=True)
class ExportedTable:
    """One mart that was written: its rows, and the sizes of its files in bytes."""

    mart: str
    rows: int
    files: dict[str, int]


@dataclass(frozen=True)
class TablesReport:
    """What an export of tables has written."""

    output: Path
    publication: Publication
    role: str
    tables: tuple[ExportedTable, ...]


def export_tables(
    output: Path,
    *,
    marts: Sequence[str] = (),
    formats: Sequence[Format] = FORMATS,
    internal: bool = False,
    overwrite: bool = False,
    time_limit: dt.timedelta = TIME_LIMIT,
    progress: Progress | None = None,
) -> TablesReport:
    """Write published marts to ``output``, all from one snapshot, as a whole or not at all.

    Args:
        marts: names; empty for all that may be exported.
        internal: also marts that are no open data, for use inside.
        overwrite: replace an earlier export.

    Raises:
        UsageError: nothing is published, a mart may not be exported, or ``output`` must not be written to.
        CredentialError, WarehouseUnavailable: the warehouse does not answer, or refuses.
        ExportInterrupted: it ended the export.
    """
    check_output(output, PACKAGE, overwrite=overwrite)
    role = reader(internal=internal)
    with snapshot(role, time_limit) as connection:
        publication = publication_of(connection)
        chosen = chosen_marts(marts, _readable(connection), internal=internal)
        row = connection.execute("select pg_export_snapshot()").fetchone()
        shared = str(row[0]) if row else ""
        tables, resources = [], []
        with whole_folder(output, PACKAGE, overwrite=overwrite) as folder:
            try:
                with AdbcSession(snapshot_dsn(role, time_limit)) as arrow:
                    arrow.begin()
                    arrow.execute(sql.SQL("set transaction snapshot {}").format(shared).as_string())
                    for mart in chosen:
                        columns = _columns(connection, mart.mart)
                        kept = [
                            one for one in columns if one.is_readable and mart.is_exported(one.name, internal=internal)
                        ]
                        about = _estimate(connection, mart.mart)
                        rows = _write(arrow, folder, mart.mart, kept, formats, publication, about, progress)
                        files = {name: (folder / name).stat().st_size for name in _files(mart.mart, formats)}
                        tables.append(ExportedTable(mart.mart, rows, files))
                        left_out = [one.name for one in columns if one not in kept]
                        resources += _resources(folder, mart, kept, left_out, rows, formats)
            except Exception as error:
                if is_adbc_error(error):
                    raise interrupted(RuntimeError(safe_message(error))) from error
                raise
            package = _package(publication, chosen, resources)
            (folder / PACKAGE).write_text(json.dumps(package, ensure_ascii=False, indent=1), encoding="utf-8")
    return TablesReport(output.absolute(), publication, str(role), tuple(tables))


def _write(
    arrow: AdbcSession,
    folder: Path,
    mart: str,
    columns: Sequence[Column],
    formats: Sequence[Format],
    publication: Publication,
    about: int,
    progress: Progress | None,
) -> int:
    """Stream one mart to its files; returns its rows."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    rows = 0
    with arrow.query(select_of(mart, columns), batch_bytes=BATCH_BYTES) as batches, ExitStack() as files:
        parquet = csv = None
        if "parquet" in formats:
            schema = pa.schema([one.field for one in columns], metadata=_said_of(publication, mart))
            parquet = files.enter_context(
                pa.parquet.ParquetWriter(folder / f"{mart}.parquet", schema, compression="zstd")
            )
        if "csv" in formats:
            text = pa.schema([(one.name, one.csv_type) for one in columns])
            csv = files.enter_context(pa.csv.CSVWriter(folder / f"{mart}.csv", text))
        for batch in batches:
            typed: pa.RecordBatch = parquet_batch(batch, columns)
            if parquet is not None:
                parquet.write_batch(typed, row_group_size=ROW_GROUP)
            if csv is not None:
                csv.write_batch(csv_batch(typed, columns))
            rows += batch.num_rows
            if progress:
                progress(mart, rows, about)
    if progress:
        progress(mart, rows, rows)
    return rows


def _said_of(publication: Publication, mart: str) -> dict[str, str]:
    """Metadata inside of each Parquet file."""
    return {
        "yingshang.mart": mart,
        "yingshang.publication_id": str(publication.publication_id),
        "yingshang.night": publication.night.isoformat(),
        "yingshang.published_at": publication.published_at.isoformat(),
    }


def _package(
    publication: Publication, chosen: Sequence[MartEntry], resources: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The descriptor: Frictionless data package, version 1."""
    internal = any(one.sensitivity != "public" for one in chosen)
    return {
        "profile": "data-package",
        "name": f"yingshang-{'internal' if internal else 'open-data'}-{publication.publication_id}",
        "title": "Liaoning's business environment: published marts 辽宁营商环境数据",
        "description": (
            "Tables of one publication of the Yingshang warehouse. Times are ISO 8601 with offset in CSV and UTC in"
            " Parquet; amounts are yuan. In CSV a text that begins with = + - @, a tab or a carriage return has an"
            " apostrophe before it, so that no spreadsheet takes it for a formula."
        ),
        "version": str(publication.publication_id),
        "created": publication.published_at.isoformat(),
        "yingshang": {
            "publication_id": publication.publication_id,
            "build_id": publication.build_id,
            "night": publication.night.isoformat(),
            "published_at": publication.published_at.isoformat(),
            "missing_nodes": dict(publication.missing_nodes),
            "sensitivity": "internal" if internal else "public",
        },
        "resources": list(resources),
    }


def _resources(
    folder: Path,
    mart: MartEntry,
    columns: Sequence[Column],
    left_out: Sequence[str],
    rows: int,
    formats: Sequence[Format],
) -> list[dict[str, Any]]:
    fields = [
        {"name": one.name, "type": one.frictionless, **({"description": one.comment} if one.comment else {})}
        for one in columns
    ]
    found = []
    for name in _files(mart.mart, formats):
        kind = name.rsplit(".", 1)[1]
        resource: dict[str, Any] = {
            "name": mart.mart if kind == "csv" else f"{mart.mart}.parquet",
            "path": name,
            "profile": "tabular-data-resource" if kind == "csv" else "data-resource",
            "title": mart.mart,
            "description": mart.description,
            "format": kind,
            "mediatype": "text/csv" if kind == "csv" else "application/vnd.apache.parquet",
            "bytes": (folder / name).stat().st_size,
            "hash": f"sha256:{sha256_of(folder / name)}",
            "yingshang": {"rows": rows, "sensitivity": mart.sensitivity, "left_out": list(left_out)},
            "schema": {"fields": fields, "missingValues": [""]},
        }
        if kind == "csv":
            resource |= {"encoding": "utf-8", "dialect": {"delimiter": ",", "quoteChar": '"', "doubleQuote": True}}
        found.append(resource)
    return found


def _files(mart: str, formats: Sequence[Format]) -> list[str]:
    return [f"{mart}.{kind}" for kind in FORMATS if kind in formats]


def _readable(connection: PgConnection) -> list[str]:
    """The marts that the reader may read, or some columns of, as PostgreSQL says."""
    rows = connection.execute(
        "select relname from pg_class where relnamespace = 'marts'::regnamespace and relkind = 'v'"
        " and relname <> 'publication' and has_any_column_privilege(oid, 'select') order by relname"
    ).fetchall()
    return [row[0] for row in rows]


def _columns(connection: PgConnection, mart: str) -> list[Column]:
    rows = connection.execute(
        "select a.attname, format_type(a.atttypid, a.atttypmod), coalesce(col_description(a.attrelid, a.attnum), ''),"
        " has_column_privilege(a.attrelid, a.attnum, 'select')"
        " from pg_attribute as a inner join pg_class as c on c.oid = a.attrelid"
        " where c.relnamespace = 'marts'::regnamespace and c.relname = %s and a.attnum > 0 and not a.attisdropped"
        " order by a.attnum",
        (mart,),
    ).fetchall()
    return [Column(*row) for row in rows]


def _estimate(connection: PgConnection, mart: str) -> int:
    """About how many rows the mart has, for the progress bar: the planner's word."""
    row = connection.execute(
        sql.SQL("explain (format json) select 1 from {}").format(sql.Identifier("marts", mart))
    ).fetchone()
    return int(row[0][0]["Plan"]["Plan Rows"]) if row else 0
