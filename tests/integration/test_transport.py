"""Connections over a network are encrypted and know whom they talk to: psycopg, ADBC and dbt's driver alike."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, urlsplit

import adbc_driver_manager
import psycopg
import psycopg2
import pytest
from tests.conftest import use_state
from tests.support.tls import HOST, Authority, tls_front

from localpg import Cluster
from yingshang import secrets
from yingshang.connectors.adbc import AdbcSession
from yingshang.connectors.postgres import PostgresSource
from yingshang.errors import CredentialError
from yingshang.publish import dbt_runner
from yingshang.settings import settings
from yingshang.warehouse import connect
from yingshang.warehouse.roles import init_warehouse


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def logins(warehouse_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with the logins of the tests' server; the database does not matter here."""
    return Path(shutil.copytree(warehouse_template, tmp_path_factory.mktemp("logins") / "state"))


@pytest.fixture
def reach(logins: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Let logins lead over a network: by a name that is resolved to loopback, as hostaddr says."""
    use_state(monkeypatch, logins)
    saved = settings().connections.read_text(encoding="utf-8")
    known = secrets.connection("warehouse_ingest")

    def lead(port: int, *, more: str = "", root: Path = authority.pem) -> str:
        uri = (
            f"postgresql://{known.login}:{quote(known.password)}@{HOST}:{port}/postgres"
            f"?hostaddr=127.0.0.1&sslrootcert={root}{more}"
        )
        secrets.save_connections({"warehouse_ingest": uri, "warehouse_transform": uri})
        return uri

    yield lead
    settings().connections.write_text(saved, encoding="utf-8")


def by_psycopg() -> None:
    with connect("ingest") as connection:
        assert connection.execute("select current_user").fetchone() == ("yingshang_ingest",)


def by_adbc() -> None:
    with PostgresSource(secrets.connection("warehouse_ingest")) as source:
        source._new_session().close()


def by_dbt() -> None:
    """dbt's driver, with what dbt is told: its profile's variables, and libpq's."""
    told = dbt_runner._profile_variables()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PGSSLMODE", "PGSSLROOTCERT"):
            patch.setenv(name, told[name])
        patch.setenv("PGHOSTADDR", "127.0.0.1")
        connection = psycopg2.connect(
            host=told["YINGSHANG_DBT_HOST"],
            port=told["YINGSHANG_DBT_PORT"],
            user=told["YINGSHANG_DBT_USER"],
            password=told["YINGSHANG_DBT_PASSWORD"],
            dbname=told["YINGSHANG_DBT_DBNAME"],
            connect_timeout=10,
        )
        with closing(connection):
            assert connection.info.ssl_in_use


DRIVERS = [by_psycopg, by_adbc, by_dbt]


def adbc_alone() -> None:
    AdbcSession(secrets.connection("warehouse_ingest").uri).close()


@pytest.mark.parametrize("driver", [*DRIVERS, adbc_alone])
def test_a_server_of_the_right_authority_and_name_is_taken_without_being_asked_for_tls(
    reach: Callable[..., str], pg_server: Cluster, authority: Authority, driver: Callable[[], None]
) -> None:
    with tls_front(pg_server.port, authority.issue()) as front:
        reach(front.port)
        driver()
    assert (front.in_clear, front.ciphers) == (0, {"TLSv1.3"})
    assert front.encrypted >= 1


@pytest.mark.parametrize("driver", [by_psycopg, by_adbc])
@pytest.mark.parametrize(
    ("certificate", "said"),
    [
        ({"host": "other.example"}, "does not match host name"),
        ({"first_day": -30, "last_day": -1}, "certificate verify failed"),
        ("another authority", "certificate verify failed"),
        ("no TLS at all", "does not support SSL"),
    ],
    ids=["another host", "expired", "another authority", "in clear"],
)
def test_a_server_that_cannot_prove_itself_is_refused_for_good(
    reach: Callable[..., str],
    pg_server: Cluster,
    authority: Authority,
    tmp_path: Path,
    driver: Callable[[], None],
    certificate: object,
    said: str,
) -> None:
    files = {
        "another authority": lambda: Authority.make(tmp_path, "impostor").issue(),
        "no TLS at all": lambda: None,
    }.get(str(certificate), lambda: authority.issue(**certificate))()  # type: ignore[arg-type]
    with tls_front(pg_server.port, files) as front:
        uri = reach(front.port)
        with pytest.raises(CredentialError, match=said) as caught:
            driver()
    assert front.in_clear == 0, "nothing was said in clear"
    assert str(urlsplit(uri).password) not in str(caught.value)


@pytest.mark.parametrize(
    ("driver", "error"), [(by_dbt, psycopg2.OperationalError), (adbc_alone, adbc_driver_manager.OperationalError)]
)
def test_drivers_with_a_libpq_of_their_own_look_at_the_certificate_too(
    reach: Callable[..., str],
    pg_server: Cluster,
    authority: Authority,
    driver: Callable[[], None],
    error: type[Exception],
) -> None:
    """PostgresSource opens psycopg's connection first: here ADBC's driver is alone, as dbt's always is."""
    for files, said in ((authority.issue("other.example"), "does not match host name"), (None, "does not support SSL")):
        with tls_front(pg_server.port, files) as front:
            reach(front.port)
            with pytest.raises(error, match=said):
                driver()
        assert front.in_clear == 0


def test_a_server_that_takes_tls_only_refuses_a_client_in_clear(
    reach: Callable[..., str], pg_server: Cluster, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The front is no rubber stamp: a client that is let out in clear is seen, and does not get through."""
    monkeypatch.setenv("YINGSHANG_PLAINTEXT_HOSTS", f"127.0.0.1,{HOST}")
    with tls_front(pg_server.port, authority.issue()) as front:
        uri = reach(front.port, more="&sslmode=disable")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(uri)
    assert front.in_clear == 1


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca"])
def test_a_weaker_mode_is_refused_before_anything_is_sent(reach: Callable[..., str], mode: str) -> None:
    reach(1, more=f"&sslmode={mode}")
    with pytest.raises(CredentialError, match=f"leads to {HOST} with sslmode={mode}: over a network it must be"):
        connect("ingest")
    with pytest.raises(CredentialError, match=f"leads to {HOST} with sslmode={mode}"):
        secrets.connection("warehouse_ingest")


def test_the_administrators_dsn_is_held_to_the_same() -> None:
    with pytest.raises(CredentialError, match=r"YINGSHANG_WAREHOUSE_DSN leads to db\.example with sslmode=require"):
        init_warehouse("postgresql://admin:x@db.example/warehouse?sslmode=require")
