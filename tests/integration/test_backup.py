"""A warehouse is lost and comes back from its backup: readers see what they saw, and the nights go on."""

import datetime as dt
import json
import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from tests.conftest import Warehouse, use_state
from tests.support.checker import assert_nothing_lost
from tests.support.province import served
from tests.support.publishing import SqlBuilder, cycle, publisher
from typer.testing import CliRunner

import yingshang.backup
from localpg import Cluster
from simulator import Province
from yingshang import ingest, secrets
from yingshang.backup import MANIFEST, BackupError, backup, read_manifest, restore
from yingshang.cli.app import root_app
from yingshang.contracts import load_contracts
from yingshang.errors import UsageError
from yingshang.publish.model import Build
from yingshang.settings import settings
from yingshang.warehouse import connect, ledger
from yingshang.warehouse.roles import DSN_VARIABLE


@pytest.fixture(autouse=True)
def client_programs(pg_server: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{pg_server.bin_dir}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def province(tmp_path: Path, warehouse: Warehouse) -> Iterator[Province]:
    with served(Province(tmp_path / "province", seed=11, profile="tiny"), warehouse) as running:
        yield running


@pytest.fixture
def another_server(tmp_path: Path) -> Iterator[str]:
    """The administrator's DSN of an empty database on a server that has no role of ours."""
    cluster = Cluster(tmp_path / "another", settings={"fsync": "off", "shared_buffers": "64MB"})
    try:
        cluster.start()
        with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as admin:
            admin.execute("create database restored")
        yield cluster.superuser_dsn("restored")
    finally:
        cluster.destroy()


class RowsOfRaw(SqlBuilder):
    """One mart with the distinct contents of all visible rows: a function of raw, as the real ones, in a moment."""

    def _write(self, conn: psycopg.Connection[Any], mart: str, build: Build) -> None:
        table = sql.Identifier(build.slot, mart)
        rows = sql.SQL(" union ").join(
            sql.SQL(
                "select {} as dataset, r._digest::text as digest from {} as r"
                " inner join ops.batch_event as e on e.batch_id = r._batch_id and e.event = 'admitted' and e.seq <= {}"
            ).format(contract.name, sql.Identifier("raw", contract.raw_table), build.to_seq)
            for contract in load_contracts().values()
        )
        conn.execute(sql.SQL("drop table if exists {}").format(table))
        conn.execute(
            sql.SQL("create table {} as select *, {}::text as _slot, {}::bigint as _build_id from ({}) as u").format(
                table, build.slot, build.build_id, rows
            )
        )
        conn.execute(sql.SQL("alter table {} alter _slot set not null, alter _build_id set not null").format(table))
        conn.execute(sql.SQL("alter table {} add check (_slot = {})").format(table, build.slot))


def read_nodes(night: dt.date, run_id: str) -> None:
    opened = ingest.open_night(night, run_id)
    for system, levels in opened.nodes.items():
        for codes in levels.values():
            for node in codes:
                ingest.ingest_node(system, node, run_id)


def publish_night(night: dt.date, run_id: str) -> None:
    """Admit what was read without the gate, and publish it."""
    with connect("ingest") as db:
        batches = db.execute("select batch_id from ops.batch where run_id = %s order by 1", (run_id,)).fetchall()
        ledger.admit(db, [batch for (batch,) in batches], reason="test", actor="test")
    cycle(publisher(RowsOfRaw(marts=("fct_row",))), night)


def shown() -> Counter[tuple[str, str]]:
    """What readers see, with how often each row is there."""
    with connect("bi_reader") as reader:
        return Counter(reader.execute("select dataset, digest from marts.fct_row").fetchall())


def cli(*arguments: str) -> str:
    done = CliRunner().invoke(root_app(arguments), list(arguments))
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


@pytest.mark.timeout(600)
def test_what_was_published_comes_back_on_another_server_and_the_next_night_goes_on(
    warehouse: Warehouse,
    province: Province,
    another_server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """But for the builder and the gates it is two real nights of a small province."""
    first, second, saved = dt.date(2024, 8, 13), dt.date(2024, 8, 14), tmp_path / "saved"
    read_nodes(first, "one")
    publish_night(first, "one")
    before = shown()
    assert len(before) > 1000
    province.advance()

    # a backup while a night reads its nodes and readers read
    done = threading.Event()
    with ThreadPoolExecutor(2) as beside:
        made = beside.submit(backup, warehouse.dsn, saved)
        reading = beside.submit(_read_until, done)
        try:
            read_nodes(second, "lost")
            manifest = made.result(timeout=120)
        finally:
            done.set()
        assert reading.result(timeout=60) > 0
    publish_night(second, "lost")
    after = shown()
    assert manifest.live is not None and manifest.live.night == first
    assert after != before

    # all is lost but what the how-to says to save
    state = tmp_path / "new_machine"
    (state / "secrets").mkdir(parents=True)
    shutil.copy(settings().keys, state / "secrets" / "keys.json")
    shutil.copytree(warehouse.state / "landing", state / "landing")
    shutil.copytree(warehouse.state / "registry", state / "registry")
    shutil.rmtree(warehouse.state)
    use_state(monkeypatch, state)
    monkeypatch.setenv(DSN_VARIABLE, another_server)
    secrets.save_connections(province.connections())

    told = cli("warehouse", "restore", str(saved))
    assert f"publication {manifest.live.publication_id} of night 2024-08-13 is what readers see" in told
    assert "landed files are of batches after the backup: moved aside" in told
    assert "have no file" not in told
    assert shown() == before
    assert "2024-08-13" in cli("status")

    read_nodes(second, "again")
    publish_night(second, "again")
    assert shown() == after
    with connect("owner") as owner:
        assert_nothing_lost(owner)


def _read_until(done: threading.Event) -> int:
    """Statements on the marts that gave one night's rows."""
    number = 0
    with connect("bi_reader", autocommit=True) as reader:
        while not done.is_set():
            assert reader.execute("select count(*) > 1000 from marts.fct_row").fetchone() == (True,)
            number += 1
            done.wait(0.05)
    return number


def test_a_publication_in_the_middle_of_a_backup_is_not_in_it_and_the_slots_go_on_after_it(
    warehouse: Warehouse, another_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder = SqlBuilder(rows=40)
    one = publisher(builder)
    cycle(one)
    count = yingshang.backup._rows

    def publish_meanwhile(*arguments: Any) -> dict[str, int]:
        builder.rows = 41
        cycle(one)
        return count(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(yingshang.backup, "_rows", publish_meanwhile)
        made = backup(warehouse.dsn, tmp_path / "saved")
    assert made.live is not None and made.rows[f"{made.live.slot}.fct_deal"] == 40
    assert deals() == 41

    secrets.save_connections(dict.fromkeys(_warehouse_connections(), "postgresql://nobody@127.0.0.1:1/lost"))
    restore(another_server, tmp_path / "saved")
    assert deals() == 40
    with pytest.raises(UsageError, match="has a warehouse already"):
        restore(another_server, tmp_path / "saved")
    for rows in (42, 43):  # one night for each slot
        builder.rows = rows
        cycle(one)
        assert deals() == rows
    with connect("owner") as owner:
        default = owner.execute("select count(*) from pg_default_acl").fetchone()
        assert default == (1,), "nothing of the owner's is anybody's until it is granted, after a restore too"


def deals() -> int:
    with connect("bi_reader") as reader:
        row = reader.execute("select count(*) from marts.fct_deal").fetchone()
        assert row is not None
        return int(row[0])


def _warehouse_connections() -> list[str]:
    known = json.loads(settings().connections.read_text())
    return [name for name in known if name.startswith("warehouse_")]


def test_a_backup_that_does_not_fit_changes_nothing(
    warehouse: Warehouse, another_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = tmp_path / "saved"
    backup(warehouse.dsn, saved)
    with pytest.raises(UsageError, match="is there already"):
        backup(warehouse.dsn, saved)
    keys = settings().keys.read_text()
    settings().keys.unlink()
    secrets.init_keys()
    with pytest.raises(BackupError, match=r"keys here are not those of the backup \(hmac k1, quarantine q1\)"):
        restore(another_server, saved)
    settings().keys.write_text(keys)

    manifest = json.loads((saved / MANIFEST).read_text())
    newer = {**manifest, "migrations": {**manifest["migrations"], "999_of_tomorrow": "0"}}
    (saved / MANIFEST).write_text(json.dumps(newer))
    with pytest.raises(BackupError, match=r"999_of_tomorrow, which this program does not know"):
        restore(another_server, saved)
    (saved / MANIFEST).write_text(json.dumps(manifest))

    name = sorted(name for name in manifest["files"] if name != "toc.dat")[0]
    content = (saved / "dump" / name).read_bytes()
    (saved / "dump" / name).write_bytes(content[:-1])
    with pytest.raises(BackupError, match=f"not whole: {name} missing or changed"):
        restore(another_server, saved)
    (saved / "dump" / name).write_bytes(content)

    (saved / MANIFEST).rename(tmp_path / "elsewhere")
    with pytest.raises(BackupError, match="no backup, or one that was broken off"):
        read_manifest(saved)
    with psycopg.connect(another_server) as admin:
        assert admin.execute("select count(*) from pg_namespace where nspname in ('ops', 'raw')").fetchone() == (0,)
    (tmp_path / "elsewhere").rename(saved / MANIFEST)

    fewer = {**manifest, "rows": {**manifest["rows"], "ops.slot": 3}}
    (saved / MANIFEST).write_text(json.dumps(fewer))
    with pytest.raises(BackupError, match=r"what came back is not the backup: ops\.slot 2 instead of 3"):
        restore(another_server, saved)


def test_without_programs_of_the_servers_version_it_says_what_to_install(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackupError, match=r"pg_dump is not on the PATH: .*postgresql-client-18"):
        backup(warehouse.dsn, tmp_path / "saved")
    (tmp_path / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)'\n")
    (tmp_path / "pg_dump").chmod(0o755)
    with pytest.raises(BackupError, match=r"older than PostgreSQL 18 .*15\.8.*postgresql-client-18"):
        backup(warehouse.dsn, tmp_path / "saved")
    assert not list(tmp_path.glob("saved*"))
