"""Where connections and keys may come from, and which of them may be used over a network."""

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from yingshang import secrets
from yingshang.cli import main
from yingshang.errors import CredentialError, SecretsUnavailable
from yingshang.settings import PROJECT_ROOT, settings
from yingshang.transport import secured

URI = "postgresql://reader:pw@127.0.0.1:5432/front"


class Vault:
    """A secrets backend as Airflow's are: what it is made with comes from AIRFLOW__SECRETS__BACKEND_KWARGS."""

    def __init__(self, connections: Mapping[str, str], variables: Mapping[str, str], is_down: bool = False) -> None:
        self._connections, self._variables, self._is_down = connections, variables, is_down

    def get_conn_value(self, conn_id: str) -> str | None:
        if self._is_down:
            raise ConnectionError("vault.example said: token hvs.very-secret is not valid")
        return self._connections.get(conn_id)

    def get_variable(self, key: str) -> str | None:
        return self._variables.get(key)


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("YINGSHANG_", "AIRFLOW_", "PGHOST", "PGSERVICE")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("YINGSHANG_STATE", str(tmp_path))


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    def use(**arguments: object) -> None:
        monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", f"{__name__}.Vault")
        monkeypatch.setitem(__import__("sys").modules, __name__, __import__("types").SimpleNamespace(Vault=Vault))
        given = {"connections": {}, "variables": {}, **arguments}
        monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND_KWARGS", json.dumps(given))

    return use


def keys_text(hmac: str = "k7") -> str:
    return json.dumps(
        {
            "hmac": {"active": hmac, "keys": {hmac: base64.b64encode(b"0" * 32).decode()}},
            "quarantine": {"active": "q1", "keys": {"q1": Fernet.generate_key().decode()}},
        }
    )


def test_the_environment_comes_before_the_backend_and_that_before_the_file(
    vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets.save_connections({"trading_210000": URI.replace("reader", "file"), "trading_210100": URI})
    vault(connections={"trading_210000": URI.replace("reader", "vault")})
    assert secrets.connection("trading_210000").login == "vault"
    assert secrets.connection("trading_210100").login == "reader"
    monkeypatch.setenv("AIRFLOW_CONN_TRADING_210000", URI.replace("reader", "environment"))
    assert secrets.connection("trading_210000").login == "environment"


@pytest.mark.parametrize("form", ["text", "object"])
def test_a_connection_as_json_is_the_same_connection(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = {
        "conn_type": "postgres",
        "host": "127.0.0.1",
        "port": 5433,
        "login": "me",
        "password": "p@ss/w:rd%",
        "schema": "front",
        "extra": {"sslmode": "disable"},
    }
    if form == "text":
        monkeypatch.setenv("AIRFLOW_CONN_X", json.dumps(content | {"extra": json.dumps(content["extra"])}))
    else:
        settings().connections.parent.mkdir(parents=True)
        settings().connections.write_text(json.dumps({"x": content}))
    found = secrets.connection("x")
    assert (found.scheme, found.host, found.port, found.path) == ("postgresql", "127.0.0.1", 5433, "/front")
    assert (found.login, found.password, found.query) == ("me", "p@ss/w:rd%", {"sslmode": "disable"})


def test_what_is_no_connection_is_said_without_its_content(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_X", '{"password": "very-secret"}')
    with pytest.raises(CredentialError, match=r"AIRFLOW_CONN_X: the connection is no URI, nor JSON of one") as caught:
        secrets.connection("x")
    assert "very-secret" not in str(caught.value)
    settings().connections.parent.mkdir(parents=True)
    for content, said in (('["very-secret"]', "is no JSON object"), ('{"y": "very-secret"', "is not JSON")):
        settings().connections.write_text(content)
        with pytest.raises(CredentialError, match=said) as caught:
            secrets.connection("y")
        assert "very-secret" not in str(caught.value)


def test_a_backend_that_does_not_answer_is_worth_another_try_and_tells_no_secret(vault) -> None:
    vault(is_down=True)
    with pytest.raises(SecretsUnavailable, match=r"does not give trading_210000 \(ConnectionError\)") as caught:
        secrets.connection("trading_210000")
    assert "very-secret" not in str(caught.value)


def test_a_backend_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", "no.such.Backend")
    with pytest.raises(CredentialError, match=r"AIRFLOW__SECRETS__BACKEND=no\.such\.Backend .* can't be made"):
        secrets.connection("x")


def test_keys_come_from_the_same_places(vault, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CredentialError, match=r"no keys at .*: run `yingshang keys init`"):
        secrets.keys()
    vault(variables={"yingshang_keys": keys_text("k7")})
    assert secrets.keys().hmac.active == "k7"
    assert secrets.init_keys() is False, "there are keys already"
    with pytest.raises(CredentialError, match=r"variable yingshang_keys of .*: add the new key there"):
        secrets.rotate_key("hmac")
    monkeypatch.setenv("AIRFLOW_VAR_YINGSHANG_KEYS", keys_text("k8"))
    assert secrets.keys().hmac.active == "k8"


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("{", "no keys"),
        (keys_text().replace('"active": "k7"', '"active": "k9"'), "the active hmac key 'k9' is not among its keys"),
        (keys_text("k:1"), "the id of a hmac key is letters"),
        (keys_text().replace(base64.b64encode(b"0" * 32).decode(), "c2hvcnQ="), "at least 16 bytes"),
    ],
)
def test_keys_that_would_fail_later_are_refused_at_once(
    broken: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_YINGSHANG_KEYS", broken)
    with pytest.raises(CredentialError, match=said):
        secrets.keys()


def test_a_new_key_leaves_the_old_ones_and_the_file_readable_by_its_owner_only() -> None:
    secrets.init_keys()
    old = secrets.keys()
    assert (secrets.rotate_key("hmac"), secrets.rotate_key("quarantine")) == ("k2", "q2")
    new = secrets.keys()
    assert (new.hmac.active, new.quarantine.active) == ("k2", "q2")
    assert new.hmac.keys["k1"] == old.hmac.active_key != new.hmac.active_key
    assert new.quarantine.keys["q1"] == old.quarantine.active_key
    assert settings().keys.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("use", "made"), [("hmac", "k2"), ("quarantine", "q2")])
def test_the_command_rotates_one_key_and_says_which(use: str, made: str, capsys: pytest.CaptureFixture[str]) -> None:
    secrets.init_keys()
    with pytest.raises(SystemExit) as caught:
        main(["keys", "rotate", use])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(f"active {use} key: {made} (in ")


REMOTE = "postgresql://u:p@db.example/d"


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://u:p@127.0.0.1:5432/d",
        "postgresql://u:p@localhost/d?sslmode=disable",
        "postgresql://u:p@[::1]/d",
        "postgresql://u@/d?host=/var/run/postgresql",
        f"{REMOTE}?sslmode=verify-full",
        f"{REMOTE}?sslmode=verify-full&sslrootcert=system",
        "https://u:p@api.example/base",
        "http://u:p@127.0.0.1:8080/base",
        "sftp://u:p@files.example/outbox?host_key=ssh-ed25519 AAAA",
        "sftp://u:p@127.0.0.1/outbox?known_hosts=none",
        "file:///outbox",
        "s3://bucket/outbox",
    ],
)
def test_a_connection_that_is_safe_stays_as_it_is(uri: str) -> None:
    assert secured(uri, "x") == uri or uri.startswith(REMOTE)


@pytest.mark.parametrize("uri", [REMOTE, f"{REMOTE}?sslrootcert=/ca.pem", "postgresql://u@127.0.0.1,10.1.1.1/d"])
def test_over_a_network_verified_tls_is_asked_for_without_being_told(uri: str) -> None:
    assert "sslmode=verify-full" in secured(uri, "x")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (f"{REMOTE}?sslmode=require", "leads to db.example with sslmode=require"),
        ("postgresql://u@127.0.0.1/d?host=db.example&sslmode=prefer", "leads to db.example"),
        ("postgresql://u@localhost/d?hostaddr=10.1.1.1&sslmode=disable", "leads to 10.1.1.1"),
        ("postgresql://u@/d?service=x&sslmode=disable", "leads to service x"),
        ("http://u:p@api.example/base", "leads to api.example in clear"),
        ("ftp://u:p@files.example/outbox", "leads to files.example in clear"),
        ("sftp://u:p@files.example/outbox?known_hosts=none", "accepts any server as files.example"),
    ],
)
def test_a_connection_in_clear_or_to_anybody_is_refused(uri: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets.save_connections({"trading_210100": uri})
    with pytest.raises(CredentialError, match=f"connection 'trading_210100' {said}"):
        secrets.connection("trading_210100")
    if "known_hosts" not in uri:
        monkeypatch.setenv("YINGSHANG_PLAINTEXT_HOSTS", "db.example, 10.1.1.1,service x,api.example,files.example")
        assert secrets.connection("trading_210100").uri == uri


def test_the_environment_of_the_process_leads_nowhere_in_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example")
    assert "sslmode=verify-full" in secured("postgresql:///d", "x")


def test_no_dag_and_no_template_names_a_secret() -> None:
    """DAG files name steps; connections and keys are asked for inside a task."""
    for path in (PROJECT_ROOT / "dags").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        for word in (
            "secrets",
            "Connection",
            "Variable.get",
            "conn.",
            "var.",
            "password",
            "postgresql://",
            "AIRFLOW_CONN",
        ):
            assert word not in text, f"{path.name}: {word}"
