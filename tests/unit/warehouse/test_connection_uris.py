"""What stands in a connection, and what an error about it may say."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from psycopg.conninfo import conninfo_to_dict

from yingshang import secrets
from yingshang.errors import CredentialError, WarehouseUnavailable
from yingshang.warehouse import connect, dsn
from yingshang.warehouse.connections import with_session_options
from yingshang.warehouse.logins import uri_of


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YINGSHANG_STATE", str(tmp_path))
    monkeypatch.delenv("YINGSHANG_CONNECTIONS_FILE", raising=False)


def test_a_back_end_watches_for_its_client_in_every_connection() -> None:
    options = parse_qs(urlsplit(with_session_options("postgresql://a:b@h:1/d", "me")).query)
    assert "-c client_connection_check_interval=1s" in options["options"][0]
    assert options["application_name"] == ["me"]


def test_what_a_uri_sets_itself_stays() -> None:
    uri = with_session_options("postgres://a:b@h:1/d?sslmode=require&application_name=x&options=-c%20jit%3Doff", "me")
    found = conninfo_to_dict(uri)
    assert found["sslmode"] == "require"
    assert found["application_name"] == "x"
    assert found["options"].endswith("-c jit=off")
    assert "client_connection_check_interval=1s" in found["options"]


@pytest.mark.parametrize(
    "target",
    [
        {"host": "127.0.0.1", "port": "5433", "dbname": "warehouse"},
        {"host": "::1", "dbname": "仓库 1"},
        {"host": "/var/run/postgresql", "port": "5433", "dbname": "w", "sslmode": "disable"},
    ],
)
def test_a_made_uri_leads_to_its_target(target: dict[str, str]) -> None:
    found = conninfo_to_dict(uri_of(target, "me", "p@ss/w:rd%"))
    assert found == {**target, "user": "me", "password": "p@ss/w:rd%"}


def test_a_missing_connection_is_named_with_where_it_was_looked_for() -> None:
    with pytest.raises(CredentialError, match="no connection 'warehouse_ingest': set AIRFLOW_CONN_WAREHOUSE_INGEST"):
        dsn("ingest")


def test_a_connection_to_something_else_is_refused() -> None:
    secrets.save_connections({"warehouse_ingest": "mysql://a:b@h/d"})
    with pytest.raises(CredentialError, match="not a postgresql:// URI but mysql://"):
        dsn("ingest")


def test_a_warehouse_that_does_not_answer_is_one_line_without_the_password() -> None:
    secrets.save_connections({"warehouse_ingest": "postgresql://me:hush-hush@127.0.0.1:1/warehouse"})
    with pytest.raises(WarehouseUnavailable) as caught:
        connect("ingest")
    message = str(caught.value)
    assert message.startswith("the warehouse at 127.0.0.1:1/warehouse does not answer (")
    assert "connection 'warehouse_ingest'" in message
    assert "hush-hush" not in message
    assert "\n" not in message
