"""Backup and restore of the warehouse: one folder made by pg_dump, with a manifest of what it holds.

Everything is of one snapshot: the dump, the counts of rows and the publication that the manifest names. Left out is
what a build makes again: the idle slot's tables and the schemas of past nights. What lies outside PostgreSQL is not in
it: the keys (the manifest has their fingerprints), the connections and the landing zone. See docs/how-to/deploy.md.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, LiteralString

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import BaseModel, ConfigDict, ValidationError

from yingshang import secrets
from yingshang.contracts.access import load_access
from yingshang.errors import TerminalError, UsageError
from yingshang.ingest.retention import put_aside
from yingshang.publish import serving
from yingshang.settings import settings
from yingshang.warehouse import PgConnection, session
from yingshang.warehouse.connections import open_uri, translated
from yingshang.warehouse.migrate import read_migrations
from yingshang.warehouse.roles import (
    DSN_VARIABLE,
    InitReport,
    administrators_uri,
    check_server,
    init_warehouse,
    prepare_server,
)

MANIFEST = "manifest.json"
DUMP = "dump"
LOCK_WAIT = "60s"
"""How long pg_dump waits for a table that is locked, such as by a migration, before it gives up."""
_INSTALL = "install PostgreSQL's client programs of version {0} (Debian: postgresql-client-{0}), first on the PATH"
NOT_IN_BACKUP = "the idle slot is not in a backup"


class BackupError(TerminalError):
    """A backup can't be made, is not whole, or does not fit where it is to be restored."""


class Live(BaseModel):
    """What readers see."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    slot: str
    build_id: int
    publication_id: int
    night: dt.date


class Manifest(BaseModel):
    """What a backup holds.

    Attributes:
        made_at: when its snapshot was taken.
        live: what was published; None: nothing yet.
        migrations: name -> SHA-256 of the DDL files that the warehouse had.
        roles: roles that own something or have rights.
        keys: ``<use> <key id>`` -> SHA-256 of the key. Keys are random: nothing can be told of them.
        rows: table -> rows.
        files: name -> SHA-256 of the files of the dump.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    made_at: dt.datetime
    program: str
    server: str
    database: str
    live: Live | None
    migrations: dict[str, str]
    roles: list[str]
    keys: dict[str, str]
    rows: dict[str, int]
    files: dict[str, str]


@dataclass(frozen=True)
class Restored:
    """What came of a restore.

    Attributes:
        put_aside: landed files of batches that the restored ledger does not know, moved out of the way.
        not_landed: batches of the ledger without a file in the landing zone.
    """

    manifest: Manifest
    init: InitReport
    put_aside: int
    not_landed: int


def backup(dsn: str, folder: Path, *, jobs: int = 2) -> Manifest:
    """Write the warehouse of ``dsn`` (the administrator's) into a new folder. Readers and nights go on meanwhile.

    The folder has its name only when all of it is there.

    Raises:
        UsageError: the folder is there already.
        BackupError: there is no pg_dump, or it fails.
        CredentialError, WarehouseUnavailable: the DSN is refused or does not answer, or there are no keys.
    """
    if folder.exists():
        raise UsageError(f"{folder} is there already: name a new folder for each backup")
    keys = _fingerprints()
    partial = folder.with_name(f"{folder.name}.partial")
    with _administrator(dsn, "yingshang backup") as admin, admin.transaction():
        admin.execute("set transaction isolation level repeatable read, read only")
        made_at, snapshot = _row(admin, "select now(), pg_export_snapshot()")
        if not _row(admin, "select to_regclass('ops.live') is not null")[0]:
            raise UsageError(f"the database {admin.info.dbname} has no warehouse: is {DSN_VARIABLE} the right one?")
        tool = _tool("pg_dump", admin.info.server_version // 10000)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700, parents=True)
        live = _live(admin)
        choices = ["--format=directory", f"--jobs={jobs}", "--compress=gzip:1", f"--file={partial / DUMP}"]
        choices += [f"--snapshot={snapshot}", f"--lock-wait-timeout={LOCK_WAIT}", "--exclude-schema=asof_*"]
        choices += [f"--exclude-table={slot}.*" for slot in ("slot_a", "slot_b") if live is None or slot != live.slot]
        with _running(tool, choices, dsn):
            rows = _rows(admin, live)
            migrations = dict(admin.execute("select name, sha256 from ops.migration").fetchall())
            roles = [str(name) for (name,) in admin.execute(_ROLES)]
        found = Manifest(
            made_at=made_at,
            program=metadata.version("yingshang"),
            server=admin.info.parameter_status("server_version") or "",
            database=admin.info.dbname,
            live=live,
            migrations=migrations,
            roles=roles,
            keys=keys,
            rows=rows,
            files={path.name: _sha256(path) for path in sorted((partial / DUMP).iterdir())},
        )
    path = partial / MANIFEST
    path.touch(mode=0o600)
    path.write_text(found.model_dump_json(indent=1), encoding="utf-8")
    partial.rename(folder)
    return found


def restore(dsn: str, folder: Path, *, jobs: int = 2) -> Restored:
    """Make a backup the warehouse of ``dsn``, a database without one; readers see what was published then.

    Roles and logins are made as by `yingshang warehouse init`, tables brought up to this version of the program, and
    the idle slot is built in full by the next night. Landed files of the time after the backup are put aside.

    Raises:
        UsageError: there is a warehouse in the database already; nothing is changed.
        BackupError: the backup is not whole, is of a newer program, or the keys here are not those that it was made
            with, and nothing is changed; or what came back is not what the manifest says, and the database is to be
            dropped.
        CredentialError, WarehouseUnavailable: the DSN is refused or does not answer.
    """
    found = read_manifest(folder)
    _check_fits(found, folder)
    registry = load_access()
    tool = _tool("pg_restore", int(found.server.partition(".")[0]))
    with _administrator(dsn, "yingshang restore") as admin:
        check_server(admin.info.server_version)
        present = [str(name) for (name,) in admin.execute(_SCHEMAS)]
        if present:
            raise UsageError(
                f"the database {admin.info.dbname} has a warehouse already (schemas {', '.join(present)}): restore into"
                " a new database, or drop this one first"
            )
        prepare_server(admin, registry)
        for role in found.roles:
            if not admin.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone():
                admin.execute(sql.SQL("create role {} nologin").format(sql.Identifier(role)))
        with _running(tool, [f"--jobs={jobs}", "--exit-on-error", str(folder / DUMP)], dsn):
            pass
        _check_rows(admin, found)
        with admin.transaction():
            # It belongs to the administrator of then: the one of now makes it anew.
            admin.execute("drop function if exists ops.set_reader_groups(name, name[], date)")
            admin.execute(_FORGET_IDLE_SLOT, {"reason": NOT_IN_BACKUP})
    shutil.rmtree(settings().state / "dbt", ignore_errors=True)  # manifests of builds that may never have been
    report = init_warehouse(dsn)
    with _administrator(dsn, "yingshang restore") as admin:
        admin.execute("analyze")
    with session("ingest", autocommit=True) as ingest:
        aside, lacking = put_aside(ingest, f"restored-{found.made_at:%Y%m%dT%H%M%S}")
    return Restored(found, report, aside, lacking)


def read_manifest(folder: Path) -> Manifest:
    """What the backup in ``folder`` says of itself.

    Raises:
        BackupError: there is none, or it is not one of ours.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise BackupError(f"{folder} has no {MANIFEST}: it is no backup, or one that was broken off")
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise BackupError(f"{path} is not the manifest of a backup ({error.error_count()} errors)") from error


def _check_fits(found: Manifest, folder: Path) -> None:
    present = {path.name for path in (folder / DUMP).iterdir()} if (folder / DUMP).is_dir() else set()
    wrong = sorted(
        name for name, digest in found.files.items() if name not in present or _sha256(folder / DUMP / name) != digest
    )
    if wrong or not found.files:
        raise BackupError(
            f"{folder} is not whole: {', '.join(wrong[:5]) or 'no file'} missing or changed since it was made; take"
            " another copy. Nothing was changed"
        )
    unknown = sorted(set(found.migrations.items()) - {(one.name, one.sha256) for one in read_migrations()})
    if unknown:
        raise BackupError(
            f"the backup has {', '.join(name for name, _ in unknown)}, which this program does not know: restore with"
            f" version {found.program} or newer. Nothing was changed"
        )
    here = _fingerprints()
    lost = sorted(name for name, digest in found.keys.items() if here.get(name) != digest)
    if lost:
        raise BackupError(
            f"the keys here are not those of the backup ({', '.join(lost)}): bring back the key file that was saved"
            " beside it. With others, persons would get other tokens than before. Nothing was changed"
        )


def _check_rows(admin: PgConnection, found: Manifest) -> None:
    """Every table has the rows, and readers see the publication, that the manifest says."""
    live = _live(admin)
    rows = _rows(admin, live)
    wrong = sorted(
        f"{table} {rows.get(table)} instead of {found.rows.get(table)}"
        for table in rows.keys() | found.rows.keys()
        if rows.get(table) != found.rows.get(table)
    )
    if live != found.live:
        wrong.append(f"published is {live} instead of {found.live}")
    wrong += [f"{mart} lacks its rows" for mart in (serving.incomplete(admin, live.slot) if live else [])]
    if wrong:
        raise BackupError(
            f"what came back is not the backup: {'; '.join(wrong[:5])}. Drop the database {found.database}"
        )


def _live(admin: PgConnection) -> Live | None:
    row = admin.execute(
        "select l.slot, l.build_id, l.publication_id, p.night"
        " from ops.live as l inner join ops.publication as p using (publication_id)"
    ).fetchone()
    return Live(slot=row[0], build_id=row[1], publication_id=row[2], night=row[3]) if row else None


def _rows(admin: PgConnection, live: Live | None) -> dict[str, int]:
    """Table -> rows, of all tables that a backup holds."""
    schemas = ["ops", "raw", "quarantine", *([live.slot] if live else [])]
    found = {}
    for schema, table in admin.execute(_TABLES, {"schemas": schemas}).fetchall():
        count = admin.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(schema, table))).fetchone()
        found[f"{schema}.{table}"] = int(count[0]) if count else 0
    return found


def _fingerprints() -> dict[str, str]:
    keys = secrets.keys()
    rings: Mapping[str, secrets.KeyRing] = {"hmac": keys.hmac, "quarantine": keys.quarantine}
    return {
        f"{use} {key_id}": hashlib.sha256(key).hexdigest()
        for use, ring in rings.items()
        for key_id, key in ring.keys.items()
    }


@contextmanager
def _administrator(dsn: str, application: str) -> Iterator[PgConnection]:
    uri = administrators_uri(dsn, application)
    with translated(), open_uri(uri, named=DSN_VARIABLE, autocommit=True) as admin:
        yield admin


@contextmanager
def _running(tool: str, choices: Sequence[str], dsn: str) -> Iterator[None]:
    """A program of PostgreSQL at work on ``dsn`` beside what is done within; it has ended well at the end.

    The password goes through the environment: arguments are everybody's to see.
    """
    target: dict[str, Any] = conninfo_to_dict(administrators_uri(dsn, f"yingshang {Path(tool).name}"))
    password = target.pop("password", None)
    environment = {**os.environ, **({"PGPASSWORD": str(password)} if password else {})}
    command = [tool, "--no-password", f"--dbname={make_conninfo('', **target)}", *choices]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield
            _, said = process.communicate()
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        words = " / ".join(line for line in said.splitlines() if line.strip())[:600]
        raise BackupError(f"{Path(tool).name} failed: {words}")


def _tool(name: str, version: int) -> str:
    """The program, of PostgreSQL ``version`` or newer: an older one does not know the server's catalogs."""
    found = shutil.which(name)
    if not found:
        raise BackupError(f"{name} is not on the PATH: {_INSTALL.format(version)}")
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    number = re.search(r"\) (\d+)", said)
    if number is None or int(number[1]) < version:
        raise BackupError(f"{found} is older than PostgreSQL {version} ({said.strip()}): {_INSTALL.format(version)}")
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _row(admin: PgConnection, query: LiteralString) -> tuple[Any, ...]:
    row = admin.execute(query).fetchone()
    return row if row else ()


_SCHEMAS: LiteralString = """
    select nspname from pg_namespace
    where nspname in ('ops', 'raw', 'quarantine', 'slot_a', 'slot_b', 'serve', 'marts') order by nspname
"""

_TABLES: LiteralString = """
    select relnamespace::regnamespace::text, relname from pg_class
    where relkind = 'r' and relnamespace::regnamespace::text = any (%(schemas)s) order by 1, 2
"""

_ROLES: LiteralString = """
    select r.rolname
    from pg_shdepend as d
    inner join pg_roles as r on r.oid = d.refobjid
    where d.refclassid = 'pg_authid'::regclass
        and d.dbid = (select oid from pg_database where datname = current_database())
    union
    select pg_get_userbyid(proowner) from pg_proc where pronamespace = 'ops'::regnamespace
    order by 1
"""

_FORGET_IDLE_SLOT: LiteralString = """
    update ops.slot
    set state = 'bad', seq = 0, build_id = null, night = null, attached_at = null, reason = %(reason)s,
        changed_at = clock_timestamp()
    where state <> 'empty' and slot not in (select slot from ops.live)
"""
