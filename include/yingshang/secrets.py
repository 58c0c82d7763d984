"""Connections and keys. They come from the environment or from files readable by the owner only.

Connections have Airflow's names and formats, so that Airflow's own secrets backends serve the same ones:
``AIRFLOW_CONN_<ID>`` first, then the JSON file ``{conn_id: uri}`` of its LocalFilesystemBackend.
"""

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from yingshang.errors import CredentialError
from yingshang.settings import settings


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
    """The connection named ``conn_id``.

    Raises:
        CredentialError: it is neither in the environment nor in the connections file.
    """
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    uri = os.environ.get(variable) or _connections_file().get(conn_id)
    if not uri:
        raise CredentialError(
            f"no connection {conn_id!r}: set {variable} or add it to {settings().connections} as a URI"
        )
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


def save_connections(new: Mapping[str, str]) -> None:
    """Add or replace connections in the connections file (mode 0600), atomically."""
    _write_secret(settings().connections, {**_connections_file(), **new})


def keys() -> Keys:
    """The keys of this installation.

    Raises:
        CredentialError: the file is missing or not of the form that `yingshang keys init` writes.
    """
    path = settings().keys
    if not path.is_file():
        raise CredentialError(f"no keys at {path}: run `yingshang keys init`, or set YINGSHANG_KEYS_FILE")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        hmac, quarantine = content["hmac"], content["quarantine"]
        found = Keys(
            hmac=KeyRing(hmac["active"], {k: base64.b64decode(v, validate=True) for k, v in hmac["keys"].items()}),
            quarantine=KeyRing(quarantine["active"], {k: v.encode() for k, v in quarantine["keys"].items()}),
        )
    except (KeyError, TypeError, AttributeError, ValueError, binascii.Error) as error:
        raise CredentialError(
            f"{path} is not a key file ({type(error).__name__}): see `yingshang keys init`"
        ) from error
    for name, ring in (("hmac", found.hmac), ("quarantine", found.quarantine)):
        if ring.active not in ring.keys:
            raise CredentialError(f"{path}: the active {name} key {ring.active!r} is not among its keys")
    return found


def init_keys() -> bool:
    """Make new keys unless there are some. Returns whether keys were made."""
    from cryptography.fernet import Fernet

    path = settings().keys
    if path.exists():
        return False
    _write_secret(
        path,
        {
            "hmac": {"active": "k1", "keys": {"k1": base64.b64encode(os.urandom(32)).decode()}},
            "quarantine": {"active": "q1", "keys": {"q1": Fernet.generate_key().decode()}},
        },
    )
    return True


def _connections_file() -> dict[str, str]:
    path = settings().connections
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CredentialError(f"{path} is not JSON: {error}") from error
    return {str(key): str(value) for key, value in content.items()}


def _write_secret(path: Path, content: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
