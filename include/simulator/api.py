"""The signed JSON API of some cities: one server process, a base path per city and system.

The base path is ``/city/<node code>`` for trading and ``/city/<node code>/<system>`` for other systems.

``POST oauth/token`` with ``client_id``, ``timestamp``, ``nonce`` and the hex HMAC-SHA256 of
``client_id\\ntimestamp\\nnonce`` gives a token for a while. ``GET api/v1/<TABLE>?from=&to=&limit=&after=`` gives rows
with cursor in (from, to], in the order of (cursor, primary key), one page at a time; ``to`` is fixed in the ``next``
links and is the exchange's clock unless given. Every request is signed over method, path with query as sent, timestamp
and nonce. Timestamps are seconds since 1970 or yyyyMMddHHmmss (Shanghai or UTC), at most five minutes off; nonces serve
once.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import psycopg
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from simulator.control import API_FAULTS, read_control
from simulator.fleet import Node
from simulator.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_LIMIT, GREATEST_LIMIT = 1000, 5000
SKEW_SECONDS = 300
SHANGHAI = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True)
class Api:
    """One city's API of one system: whose it is, what it has, who may ask, and where its data stand.

    ``dsn``: connection string of the gateway to the city's database.
    """

    node: Node
    tables: tuple[Table, ...]
    client_id: str
    secret: str
    dsn: str


class RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, error: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.response = JSONResponse(
            {"error": error, "message": message}, status_code=status, headers=dict(headers or {})
        )


def application(root: Path, apis: Iterable[Api]) -> Starlette:
    """The ASGI application."""
    gateway = _Gateway(root, apis)
    routes = [
        Route(f"{base}/{path}", handler, methods=[method])
        for base in ("/city/{city}", "/city/{city}/{system}")
        for path, handler, method in (("oauth/token", gateway.token, "POST"), ("api/v1/{table}", gateway.page, "GET"))
    ]
    return Starlette(routes=routes)


class _Gateway:
    def __init__(self, root: Path, apis: Iterable[Api]) -> None:
        self.root = root
        self.apis = {(api.node.code, api.node.system): api for api in apis}
        self.pools = {dsn: _Pool(dsn) for dsn in {api.dsn for api in self.apis.values()}}
        self.faults = _Faults(root)
        self.tokens: dict[str, tuple[str, float]] = {}
        self.nonces: dict[tuple[str, str], float] = {}
        self.lock = threading.Lock()

    async def token(self, request: Request) -> Response:
        try:
            api = self._api(request)
            body = await _json_body(request)
            message = "\n".join([body["client_id"], body["timestamp"], body["nonce"]])
            _known(body["client_id"] == api.client_id)
            self._check(api, message, body["timestamp"], body["nonce"], body["signature"])
        except RefusedError as refused:
            return refused.response
        lifetime = read_control(self.root).token_seconds
        token = secrets.token_urlsafe(24)
        with self.lock:
            self.tokens[token] = (api.client_id, time.monotonic() + lifetime)
        return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": lifetime})

    def page(self, request: Request) -> Response:
        try:
            api = self._api(request)
            self._authorize(request, api)
            table = self._table(request, api)
            fault = self.faults.next_for(api.node.code)
            return _spoilt_page(fault) or self._rows(request, api, table, fault)
        except RefusedError as refused:
            return refused.response

    def _api(self, request: Request) -> Api:
        code, system = request.path_params["city"], request.path_params.get("system", "trading")
        if (code, system) not in self.apis:
            raise RefusedError(404, "unknown_city", f"no city {code!r} is served here for {system}")
        if code in read_control(self.root).down:
            raise RefusedError(503, "maintenance", f"{code} is down for maintenance")
        return self.apis[code, system]

    def _table(self, request: Request, api: Api) -> Table:
        name = request.path_params["table"]
        for table in api.tables:
            if table.name == name:
                return table
        raise RefusedError(404, "unknown_table", f"{api.node.code} has no table {name!r}")

    def _authorize(self, request: Request, api: Api) -> None:
        headers = request.headers
        scheme, _, token = headers.get("authorization", "").partition(" ")
        with self.lock:
            owner, expires = self.tokens.get(token, ("", 0.0))
        if scheme != "Bearer" or owner != api.client_id:
            raise RefusedError(401, "invalid_token", "ask for a token first")
        if expires < time.monotonic() or self.faults.next_for(api.node.code, "token_expired"):
            raise RefusedError(401, "token_expired", "ask for a new token")
        stamp, nonce = headers.get("x-timestamp", ""), headers.get("x-nonce", "")
        sent = request.scope["raw_path"].decode("ascii")
        if request.scope["query_string"]:
            sent += "?" + request.scope["query_string"].decode("ascii")
        message = "\n".join([request.method, sent, stamp, nonce])
        self._check(api, message, stamp, nonce, headers.get("x-signature", ""))

    def _check(self, api: Api, message: str, stamp: str, nonce: str, signature: str) -> None:
        expected = hmac.new(api.secret.encode(), message.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            raise RefusedError(401, "bad_signature", "the signature does not fit this request")
        now = time.time()
        if min(abs(now - moment) for moment in _moments(stamp)) > SKEW_SECONDS:
            raise RefusedError(401, "stale_timestamp", "the timestamp is more than five minutes off")
        with self.lock:
            if len(self.nonces) > 100_000:
                self.nonces = {key: at for key, at in self.nonces.items() if now - at < 2 * SKEW_SECONDS}
            if (api.client_id, nonce) in self.nonces or not nonce:
                raise RefusedError(401, "repeated_nonce", "this nonce has been used")
            self.nonces[api.client_id, nonce] = now

    def _rows(self, request: Request, api: Api, table: Table, fault: str | None) -> Response:
        query = request.query_params
        low = query.get("from", "")
        limit = _limit(query.get("limit"))
        after = _after(query.get("after"), len(table.key))
        with self.pools[api.dsn].connection() as connection:
            connection.execute("begin isolation level repeatable read read only")
            clock = _one(connection, f"select {api.node.schema}.exchange_clock()", [])
            high = query.get("to") or clock
            page = _page(connection, api.node, table, low, high, after, limit)
            connection.execute("commit")
        total = page.total + (1 if fault == "wrong_total" else 0)
        link = None
        if page.more:
            parts = {"from": low, "to": high, "limit": str(limit), "after": _opaque(page.last)}
            link = f"{request.url.path}?" + "&".join(f"{k}={v}" for k, v in parts.items() if v)
        tail = "" if fault == "missing_next" else f',"next":{json.dumps(link)}'
        return Response(
            f'{{"table":"{table.name}","clock":"{clock}","total":{total},"rows":[{",".join(page.rows)}]{tail}}}',
            media_type="application/json",
        )


@dataclass(frozen=True)
class _Page:
    rows: list[str]
    last: list[str]
    more: bool
    total: int


def _page(
    connection: psycopg.Connection, city: Node, table: Table, low: str, high: str, after: list[str] | None, limit: int
) -> _Page:
    name, cursor = f"{city.schema}.{table.name.lower()}", f"t.{table.cursor.lower()}"
    keys = [f"coalesce(t.{key.lower()}, '')" for key in table.key]
    order = ", ".join([cursor, *keys])
    window = f"{cursor} > %s and {cursor} <= %s"
    total = int(_one(connection, f"select count(*) from {name} t where {window}", [low, high]))
    where, parameters = window, [low, high]
    if after:
        where += f" and ({order}) > ({', '.join(['%s'] * len(after))})"
        parameters = [low, high, *after]
    aliases = ", ".join(f't.{column.lower()} as "{column}"' for column in table.columns)
    found = connection.execute(
        f"select row_to_json(r)::text, {order} from {name} t cross join lateral (select {aliases}) r "
        f"where {where} order by {order} limit %s",
        [*parameters, limit + 1],
    ).fetchall()
    page = found[:limit]
    return _Page(
        [row[0] for row in page], [str(part) for part in page[-1][1:]] if page else [], len(found) > limit, total
    )


class _Pool:
    """Idle connections to one database."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.idle: SimpleQueue[psycopg.Connection] = SimpleQueue()

    @contextmanager
    def connection(self) -> "Iterator[psycopg.Connection]":
        try:
            connection = self.idle.get_nowait()
        except Empty:
            connection = psycopg.connect(self.dsn, autocommit=True)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self.idle.put(connection)


class _Faults:
    """Counts faults that are to happen so many times."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.done: dict[int, int] = {}
        self.lock = threading.Lock()

    def next_for(self, node_code: str, only: str | None = None) -> str | None:
        """The fault that this request meets, if any. ``token_expired`` only for who asks for it."""
        for fault, (times, number) in read_control(self.root).faults.get(node_code, {}).items():
            if fault not in API_FAULTS or (fault == "token_expired") != (only == "token_expired"):
                continue
            with self.lock:
                met = self.done.get(number, 0)
                if times == 0 or met < times:
                    self.done[number] = met + 1
                    return fault
        return None


async def _json_body(request: Request) -> dict[str, str]:
    try:
        body: Any = await request.json()
        return {name: str(body[name]) for name in ("client_id", "timestamp", "nonce", "signature")}
    except (ValueError, KeyError, TypeError):
        raise RefusedError(400, "bad_request", "expected JSON with client_id, timestamp, nonce and signature") from None


def _moments(stamp: str) -> list[float]:
    """Seconds since 1970 that a timestamp may mean: a text of 14 digits is Shanghai time or UTC."""
    try:
        if len(stamp) == 14:
            local = datetime.strptime(stamp, "%Y%m%d%H%M%S")  # noqa: DTZ007
            return [local.replace(tzinfo=zone).timestamp() for zone in (SHANGHAI, UTC)]
        return [float(stamp) / (1000 if len(stamp.split(".")[0]) == 13 else 1)]
    except ValueError:
        raise RefusedError(401, "stale_timestamp", "the timestamp is not a time") from None


def _known(is_client: bool) -> None:
    if not is_client:
        raise RefusedError(401, "unknown_client", "this client is not known here")


def _spoilt_page(fault: str | None) -> Response | None:
    """What a city sends instead of a page of rows."""
    match fault:
        case "html_page":
            return HTMLResponse("<html><body><h1>系统维护中</h1></body></html>")
        case "server_error":
            raise RefusedError(500, "internal_error", "NullPointerException")
        case "rate_limit":
            raise RefusedError(429, "too_many_requests", "try again later", {"Retry-After": "1"})
    return None


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not text.isdigit() or not 1 <= int(text) <= GREATEST_LIMIT:
        raise RefusedError(400, "bad_limit", f"limit is a number from 1 to {GREATEST_LIMIT}")
    return int(text)


def _after(text: str | None, keys: int) -> list[str] | None:
    if not text:
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, TypeError, binascii.Error):
        found = None
    if not isinstance(found, list) or len(found) != keys + 1 or not all(isinstance(part, str) for part in found):
        raise RefusedError(400, "bad_after", "after is taken from a next link, as it is")
    return found


def _opaque(last: list[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(last).encode()).decode().rstrip("=")


def _one(connection: psycopg.Connection, query: str, parameters: list[str]) -> str:
    row = connection.execute(query, parameters).fetchone()
    return str(row[0]) if row else ""
