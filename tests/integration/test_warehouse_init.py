"""`yingshang warehouse init`: from an administrator's DSN to a warehouse, again and again."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

from localpg import Cluster
from yingshang import secrets
from yingshang.contracts.access import load_access
from yingshang.errors import CredentialError, TerminalError, UsageError, WarehouseUnavailable
from yingshang.settings import PROJECT_ROOT, settings
from yingshang.warehouse import ROLES, connect, roles
from yingshang.warehouse.migrate import MigrationError, read_migrations
from yingshang.warehouse.roles import ServerTooOld, check_server, init_warehouse

_numbers = count(1)
LOGINS = {*ROLES, *load_access(PROJECT_ROOT / "include" / "registry").active}


@pytest.fixture(scope="module")
def lone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of its own: logins are cluster-wide."""
    cluster = Cluster(tmp_path_factory.mktemp("lone"), settings={"fsync": "off", "shared_buffers": "32MB"})
    try:
        yield cluster.start()
    finally:
        cluster.destroy()


@pytest.fixture
def database(lone_server: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The administrator's DSN of an empty database, in a cluster without our logins."""
    monkeypatch.setenv("YINGSHANG_STATE", str(tmp_path / "state"))
    name = f"lone_{next(_numbers)}"
    with psycopg.connect(lone_server.superuser_dsn(), autocommit=True) as admin:
        admin.execute(f"create database {name}")
        yield lone_server.superuser_dsn(name)
        for (other,) in admin.execute("select datname from pg_database where datname like 'lone%'").fetchall():
            admin.execute(f"drop database {other} with (force)")
        for (role,) in admin.execute(
            "select rolname from pg_roles where rolname like 'yingshang%'"
            " order by rolname <> 'yingshang_publish', rolname like '%test%'"  # members first, grantors last
        ).fetchall():
            admin.execute(f"drop role {role}")


def test_a_warehouse_is_made_and_every_login_works(database: str) -> None:
    report = init_warehouse(database)
    assert len(report.new_logins) == len(LOGINS)
    assert report.migrations == tuple(migration.name for migration in read_migrations())
    assert report.warnings == ()
    for role in LOGINS:
        with connect(role) as connection:
            assert connection.execute("select current_user").fetchone() == (f"yingshang_{role}",)
    assert settings().connections.stat().st_mode & 0o777 == 0o600
    with psycopg.connect(database) as admin:
        owners = admin.execute(
            "select distinct tableowner from pg_tables where schemaname in ('ops', 'raw', 'quarantine')"
        ).fetchall()
    assert owners == [("yingshang_owner",)]


def test_again_it_changes_nothing(database: str) -> None:
    init_warehouse(database)
    before = settings().connections.read_text()
    report = init_warehouse(database)
    assert (report.new_logins, report.migrations, report.raw_changes, report.warnings) == ((), (), (), ())
    assert settings().connections.read_text() == before


def test_broken_off_in_the_middle_it_goes_on(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(roles, "migrate", broken)
        with pytest.raises(RuntimeError):
            init_warehouse(database)
    report = init_warehouse(database)
    assert report.new_logins == ()
    assert report.migrations == tuple(migration.name for migration in read_migrations())


def test_lost_connections_are_made_anew_and_said(database: str) -> None:
    init_warehouse(database)
    settings().connections.unlink()
    report = init_warehouse(database)
    assert len(report.new_logins) == len(LOGINS)
    assert len(report.warnings) == len(LOGINS)
    assert "connections kept elsewhere no longer work" in report.warnings[0]
    connect("ingest").close()


def test_the_logins_of_another_warehouse_on_the_server_are_not_taken_over_in_silence(
    database: str, lone_server: Cluster
) -> None:
    init_warehouse(database)
    first = settings().connections.read_text()
    settings().connections.unlink()
    with psycopg.connect(lone_server.superuser_dsn(), autocommit=True) as admin:
        admin.execute("create database lone_other")
    other = lone_server.superuser_dsn("lone_other")
    with pytest.raises(CredentialError, match=r"belongs to the warehouse in the database lone_.*--reset-logins"):
        init_warehouse(other)
    settings().connections.write_text(first)
    connect("ingest").close()
    settings().connections.unlink()
    assert len(init_warehouse(other, reset_logins=True).new_logins) == len(LOGINS)


def test_an_installation_that_moves_to_another_database_keeps_its_passwords(
    database: str, lone_server: Cluster
) -> None:
    init_warehouse(database)
    before = secrets.connection("warehouse_ingest").password
    with psycopg.connect(lone_server.superuser_dsn(), autocommit=True) as admin:
        admin.execute("create database lone_moved")
    assert init_warehouse(lone_server.superuser_dsn("lone_moved")).new_logins == ()
    known = secrets.connection("warehouse_ingest")
    assert (known.password, known.path) == (before, "/lone_moved")


def test_a_password_from_the_environment_is_the_logins(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = database.split("@")[1]
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE_INGEST", f"postgresql://yingshang_ingest:chosen@{place}")
    init_warehouse(database)
    assert "warehouse_ingest" not in settings().connections.read_text()
    connect("ingest").close()


def test_a_connection_of_the_environment_that_leads_elsewhere_is_an_error(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE_OWNER", "postgresql://somebody:x@127.0.0.1:1/elsewhere")
    with pytest.raises(CredentialError, match="AIRFLOW_CONN_WAREHOUSE_OWNER is set, but is no connection of"):
        init_warehouse(database)


def test_an_administrator_who_is_no_superuser_is_enough(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute("create role yingshang_test_admin login createrole password 'admin'")
        admin.execute(f"alter database {admin.info.dbname} owner to yingshang_test_admin")
    report = init_warehouse(_as(database, "yingshang_test_admin", "admin"))
    assert report.migrations == tuple(migration.name for migration in read_migrations())
    assert [warning.split(":")[0] for warning in report.warnings] == [
        "yingshang_publish did not get pg_signal_backend",
        "yingshang_publish did not get pg_read_all_stats",
    ]


def test_an_administrator_without_rights_is_told_what_is_missing(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute("create role yingshang_test_nobody login password 'nobody'")
    with pytest.raises(CredentialError, match=r"yingshang_test_nobody may not prepare the database .* CREATEROLE"):
        init_warehouse(_as(database, "yingshang_test_nobody", "nobody"))


def test_a_database_that_is_in_use_by_another_program_is_refused(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute("create schema ops")
    with pytest.raises(MigrationError, match="if a schema ops of another program is there"):
        init_warehouse(database)


def test_a_dsn_that_does_not_answer_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YINGSHANG_STATE", str(tmp_path))
    with pytest.raises(WarehouseUnavailable) as caught:
        init_warehouse("postgresql://admin:hush-hush@127.0.0.1:1/warehouse")
    assert "the warehouse at 127.0.0.1:1/warehouse does not answer" in str(caught.value)
    assert "YINGSHANG_WAREHOUSE_DSN" in str(caught.value)
    assert "hush-hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_password_or_database_is_no_matter_of_trying_again(database: str) -> None:
    for dsn in (_as(database, "postgres", "wrong"), database.rsplit("/", 1)[0] + "/no_such_database"):
        with pytest.raises(CredentialError, match="refuses YINGSHANG_WAREHOUSE_DSN") as caught:
            init_warehouse(dsn)
        assert isinstance(caught.value, TerminalError)


def test_what_is_no_dsn_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YINGSHANG_STATE", str(tmp_path))
    with pytest.raises(UsageError, match="is not a PostgreSQL DSN"):
        init_warehouse("warehouse on the big server")


def test_an_older_server_is_refused_before_anything_is_made(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServerTooOld, match=r"PostgreSQL 17 or newer is needed; this server is 16\.4"):
        check_server(160004)
    check_server(170000)
    monkeypatch.setattr(roles, "OLDEST_SERVER", 990000)
    with pytest.raises(ServerTooOld, match=r"PostgreSQL 99 or newer is needed; this server is 18\."):
        init_warehouse(database)
    with psycopg.connect(database) as admin:
        assert admin.execute("select count(*) from pg_roles where rolname like 'yingshang%'").fetchone() == (0,)


def _as(dsn: str, user: str, password: str) -> str:
    return f"postgresql://{user}:{password}@{dsn.split('@')[1]}"
