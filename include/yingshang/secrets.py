"""Connections and keys: from the environment, a secrets backend, or files readable by the owner only.

They have Airflow's names and formats, so that the same places serve Airflow and this program. In this order:

1. ``AIRFLOW_CONN_<ID>``, and ``AIRFLOW_VAR_YINGSHANG_KEYS`` for the keys;
2. the backend of ``AIRFLOW__SECRETS__BACKEND`` with ``AIRFLOW__SECRETS__BACKEND_KWARGS`` (HashiCorp Vault ...);
3. the JSON file ``{conn_id: uri}`` of Airflow's LocalFilesystemBackend, and the key file.
"""

import base64
import binascii
import importlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from yingshang.errors import CredentialError, SecretsUnavailable
from yingshang.settings import settings
from yingshang.transport import secured

BACKEND_VARIABLE = "AIRFLOW__SECRETS__BACKEND"
FILE_BACKEND = "airflow.secrets.local_filesystem.LocalFilesystemBackend"
"""Its file is the connections file, which is read here without importing Airflow."""
KEYS_VARIABLE = "yingshang_keys"
"""Airflow variable that may hold what stands in the key file."""
LEAST_HMAC_BYTES, FERNET_BYTES = 16, 32
_SCHEMES = {"postgres": "postgresql"}
_KEY_ID = re.compile(r"[A-Za-z0-9_.-]{1,40}")


@dataclass(frozen=True)
class Connection:
    """One connection. ``uri`` is secret and therefore not part of the repr."""

    conn_id: str
    uri: str = field(repr=False)
    scheme: str
    host: str
    port: int | None
    login: str
    password: str = field(repr=False)
    path: str
    query: Mapping[str, str]


@dataclass(frozen=True)
class KeyRing:
    """Keys of one use by key id; ``active`` is the one for new values."""

    active: str
    keys: Mapping[str, bytes] = field(repr=False)

    @property
    def active_key(self) -> bytes:
        return self.keys[self.active]


@dataclass(frozen=True)
class Keys:
    """hmac: raw key bytes for tokens of direct identifiers. quarantine: Fernet keys for payloads."""

    hmac: KeyRing
    quarantine: KeyRing


def connection(conn_id: str) -> Connection:
    """The connection named ``conn_id``, made safe for a network (:mod:`yingshang.transport`).

    Raises:
        CredentialError: it is nowhere, or would lead over a network in clear.
        SecretsUnavailable: the secrets backend does not answer.
    """
    found = given_from_outside(conn_id) or _connections_file().get(conn_id)
    if not found:
        raise CredentialError(
            f"no connection {conn_id!r}: set {_variable(conn_id)} or add it to {settings().connections} as a URI"
        )
    uri = secured(found, f"connection {conn_id!r}")
    parts = urlsplit(uri)
    return Connection(
        conn_id=conn_id,
        uri=uri,
        scheme=parts.scheme,
        host=parts.hostname or "",
        port=parts.port,
        login=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        path=parts.path,
        query=dict(parse_qsl(parts.query)),
    )


def given_from_outside(conn_id: str) -> str | None:
    """The URI that the environment or the secrets backend has; None: what the connections file says holds.

    Raises:
        CredentialError: it is neither a URI nor a connection as JSON.
        SecretsUnavailable: the backend does not answer.
    """
    variable = _variable(conn_id)
    value = os.environ.get(variable)
    return _uri_of(value, variable) if value else _uri_of(_ask_backend("get_conn_value", conn_id), BACKEND_VARIABLE)


def save_connections(new: Mapping[str, str]) -> None:
    """Add or replace connections in the connections file (mode 0600), atomically."""
    _write_secret(settings().connections, {**_connections_file(), **new})


def keys() -> Keys:
    """The keys of this installation.

    Raises:
        CredentialError: there are none, or they are not of the form that `yingshang keys init` writes.
        SecretsUnavailable: the secrets backend does not answer.
    """
    text, place = _keys_text()
    try:
        content = json.loads(text)
        hmac, quarantine = content["hmac"], content["quarantine"]
        found = Keys(
            hmac=KeyRing(hmac["active"], {k: base64.b64decode(v, validate=True) for k, v in hmac["keys"].items()}),
            quarantine=KeyRing(quarantine["active"], {k: v.encode() for k, v in quarantine["keys"].items()}),
        )
        fernet = {len(base64.urlsafe_b64decode(key)) for key in found.quarantine.keys.values()}
    except (KeyError, TypeError, AttributeError, ValueError, binascii.Error) as error:
        raise CredentialError(f"{place}: no keys ({type(error).__name__}): see `yingshang keys init`") from error
    for name, ring in (("hmac", found.hmac), ("quarantine", found.quarantine)):
        if ring.active not in ring.keys:
            raise CredentialError(f"{place}: the active {name} key {ring.active!r} is not among its keys")
        if not all(_KEY_ID.fullmatch(key_id) for key_id in ring.keys):
            raise CredentialError(f"{place}: the id of a {name} key is letters, digits, dots and hyphens")
    if min(len(key) for key in found.hmac.keys.values()) < LEAST_HMAC_BYTES or fernet != {FERNET_BYTES}:
        raise CredentialError(
            f"{place}: an hmac key has at least {LEAST_HMAC_BYTES} bytes and a quarantine key {FERNET_BYTES}"
        )
    return found


def rotate_key(use: Literal["hmac", "quarantine"]) -> str:
    """Make a new active key of one use in the key file; older ones stay for what was made with them. Returns its id.

    Raises:
        CredentialError: the keys are not in the key file, or it is no such file.
    """
    path = settings().keys
    text, place = _keys_text()
    keys()
    if not path.is_file() or text != path.read_text(encoding="utf-8"):
        raise CredentialError(f"the keys come from {place}: add the new key there, and name it as the active one")
    content = json.loads(text)
    ring = content[use]
    letter = "k" if use == "hmac" else "q"
    number = 1 + max(
        (int(found[1]) for known in ring["keys"] if (found := re.fullmatch(r"[a-z](\d+)", known))), default=0
    )
    ring["active"] = f"{letter}{number}"
    ring["keys"][ring["active"]] = _new_key(use)
    _write_secret(path, content)
    return str(ring["active"])


def init_keys() -> bool:
    """Make new keys unless there are some. Returns whether keys were made."""
    path = settings().keys
    if path.exists() or _keys_from_outside() is not None:
        return False
    _write_secret(
        path,
        {
            "hmac": {"active": "k1", "keys": {"k1": _new_key("hmac")}},
            "quarantine": {"active": "q1", "keys": {"q1": _new_key("quarantine")}},
        },
    )
    return True


def _new_key(use: Literal["hmac", "quarantine"]) -> str:
    coded = base64.b64encode if use == "hmac" else base64.urlsafe_b64encode
    return coded(os.urandom(32)).decode()


def _keys_text() -> tuple[str, str]:
    """What stands in the keys, and where that was found."""
    path = settings().keys
    found = _keys_from_outside()
    if found is not None:
        return found
    if not path.is_file():
        raise CredentialError(f"no keys at {path}: run `yingshang keys init`, or set YINGSHANG_KEYS_FILE")
    return path.read_text(encoding="utf-8"), str(path)


def _keys_from_outside() -> tuple[str, str] | None:
    variable = f"AIRFLOW_VAR_{KEYS_VARIABLE.upper()}"
    if os.environ.get(variable):
        return os.environ[variable], variable
    found = _ask_backend("get_variable", KEYS_VARIABLE)
    return (found, f"variable {KEYS_VARIABLE} of {os.environ[BACKEND_VARIABLE]}") if found else None


def _variable(conn_id: str) -> str:
    return f"AIRFLOW_CONN_{conn_id.upper()}"


def _ask_backend(method: Literal["get_conn_value", "get_variable"], name: str) -> str | None:
    wanted = os.environ.get(BACKEND_VARIABLE, "")
    if wanted in ("", FILE_BACKEND):
        return None
    backend = _backend(wanted, os.environ.get(f"{BACKEND_VARIABLE}_KWARGS", ""))
    try:
        found = getattr(backend, method)(name)
    except Exception as error:  # noqa: BLE001 - of whatever the backend is made; what it says may hold a secret
        raise SecretsUnavailable(
            f"the secrets backend {wanted} does not give {name} ({type(error).__name__}): look at the service behind it"
        ) from None
    return None if found is None else str(found)


@lru_cache(maxsize=4)
def _backend(wanted: str, arguments: str) -> Any:
    module, _, name = wanted.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)(**json.loads(arguments or "{}"))
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise CredentialError(
            f"{BACKEND_VARIABLE}={wanted} with its {BACKEND_VARIABLE}_KWARGS can't be made ({type(error).__name__})"
        ) from None


def _uri_of(value: object, place: str) -> str | None:
    """A connection as Airflow writes it: a URI, or JSON with conn_type, host, login, password, port, schema, extra."""
    if not value:
        return None
    if isinstance(value, str) and not value.lstrip().startswith("{"):
        return value
    try:
        content = value if isinstance(value, Mapping) else json.loads(str(value))
        scheme = str(content["conn_type"])
        extra = content.get("extra") or {}
        query = urlencode(
            {key: str(one) for key, one in (json.loads(extra) if isinstance(extra, str) else extra).items()}
        )
        login, password = (quote(str(content.get(key) or ""), safe="") for key in ("login", "password"))
        port = f":{int(content['port'])}" if content.get("port") else ""
        host = str(content.get("host") or "")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CredentialError(f"{place}: the connection is no URI, nor JSON of one ({type(error).__name__})") from None
    credentials = f"{login}{f':{password}' if password else ''}@" if login else ""
    path = quote(str(content.get("schema") or ""))
    return f"{_SCHEMES.get(scheme, scheme)}://{credentials}{host}{port}/{path}{f'?{query}' if query else ''}"


def _connections_file() -> dict[str, str]:
    path = settings().connections
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CredentialError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise CredentialError(f"{path} is no JSON object of conn_id and URI")
    return {str(key): _uri_of(value, str(path)) or "" for key, value in content.items()}


def _write_secret(path: Path, content: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
