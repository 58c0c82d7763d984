"""What goes over a network is encrypted, and the other side proves who it is.

On this machine (loopback, Unix sockets) a connection may be in clear. Anywhere else it may not, whatever its URI says,
unless its host is named in ``YINGSHANG_PLAINTEXT_HOSTS``: its network is trusted, such as that of one container host.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from yingshang.errors import CredentialError
from yingshang.settings import settings

VERIFIED = "verify-full"
UNTRUSTED = re.compile(
    r"SSL error: (?!.*\beof\b)|does not match host name|does not support SSL|root certificate file|no encryption",
    re.IGNORECASE,
)
"""What libpq and servers say when a connection is refused for its certificate or for being in clear."""


def secured(uri: str, named: str) -> str:
    """``uri`` as it may be used: one to PostgreSQL over a network asks for ``sslmode=verify-full``.

    ``named`` says in errors which connection it is; a URI that cannot be read is handed back for its user to refuse.

    Raises:
        CredentialError: the connection would be in clear, or would not look whom it talks to.
    """
    try:
        parts = urlsplit(uri)
        query = dict(parse_qsl(parts.query))
        host = parts.hostname or ""
    except ValueError:
        return uri
    match parts.scheme:
        case "postgresql" | "postgres":
            return _secured_postgres(uri, named)
        case "http" | "ftp" if remote := _remote([host]):
            raise CredentialError(
                f"{named} leads to {remote} in clear ({parts.scheme}://): use https:// or sftp://, or name the host in"
                " YINGSHANG_PLAINTEXT_HOSTS if its network is trusted"
            )
        case "sftp" | "ssh" if query.get("known_hosts") == "none" and _remote([host]):
            raise CredentialError(
                f"{named} accepts any server as {host} (known_hosts=none): add ?host_key=<type base64> of its key"
            )
        case _:
            return uri


def _secured_postgres(uri: str, named: str) -> str:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        given = {key: str(value) for key, value in conninfo_to_dict(uri).items() if value is not None}
    except psycopg.ProgrammingError:
        return uri
    usual = {one.keyword.decode(): (one.val or b"").decode() for one in psycopg.pq.Conninfo.get_defaults()}
    known = {**{key: value for key, value in usual.items() if value}, **given}  # PGHOST, PGSERVICE ... of the process
    places = [place for key in ("host", "hostaddr") for place in known.get(key, "").split(",")]
    if known.get("service"):
        places.append(f"service {known['service']}")
    remote = _remote(places)
    if not remote:
        return uri
    mode = given.get("sslmode", VERIFIED)
    if mode != VERIFIED:
        raise CredentialError(
            f"{named} leads to {remote} with sslmode={mode}: over a network it must be sslmode={VERIFIED}, with"
            " sslrootcert=<file of the authority> or sslrootcert=system; or name the host in"
            " YINGSHANG_PLAINTEXT_HOSTS if its network is trusted"
        )
    parts = urlsplit(uri)
    query = {**dict(parse_qsl(parts.query)), "sslmode": VERIFIED}
    return urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query).replace("+", "%20"), ""))


def _remote(places: Iterable[str]) -> str:
    """The first place that lies beyond this machine and is not trusted; empty when there is none."""
    trusted = {host.strip() for host in settings().plaintext_hosts.split(",")}
    return next((place for place in places if not _is_here(place) and place not in trusted), "")


def _is_here(place: str) -> bool:
    if place in ("", "localhost") or place.startswith(("/", "@")):
        return True
    try:
        return ipaddress.ip_address(place).is_loopback
    except ValueError:
        return False
