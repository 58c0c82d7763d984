"""Signed JSON APIs of cities: a token, a signature on each request, keyset pages.

A page that is not JSON, has no `next`, repeats an earlier one, or rows that do not add up to the announced total are
errors: never "0 rows".
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import re
import secrets
import ssl
import time
from collections.abc import Iterator
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode, urlsplit

from yingshang.connectors.base import (
    BATCH_CHARACTERS,
    BATCH_ROWS,
    CLOCK_FORMAT,
    Delivery,
    Request,
    clock_plus,
    text_batch,
)
from yingshang.errors import ContractError, CredentialError, SourceInconsistent, SourceUnavailable

if TYPE_CHECKING:
    import httpx
    import pyarrow as pa

    from yingshang.secrets import Connection

PAGE_ROWS = 2000
PAGE_BYTES = 16 << 20
CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
TOTAL_SECONDS = 1800.0
ATTEMPTS = 6
RETRY_SECONDS = 120.0
END_OF_TIME = "99991231235959"
_SURROGATE = re.compile("[\ud800-\udfff]")


class HttpSource:
    """The API of one node."""

    def __init__(
        self,
        connection: Connection,
        *,
        page_rows: int = PAGE_ROWS,
        read_seconds: float = READ_SECONDS,
        total_seconds: float = TOTAL_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        parts = urlsplit(connection.uri)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CredentialError(f"connection {connection.conn_id!r} is not an http:// or https:// URI")
        port = f":{parts.port}" if parts.port else ""
        self._named = f"connection {connection.conn_id!r}"
        self._origin = f"{parts.scheme}://{parts.hostname}{port}"
        self._base = parts.path.rstrip("/")
        self._login, self._secret = connection.login, connection.password.encode()
        self._authorities = connection.query.get("ca")
        self._page_rows, self._read_seconds = page_rows, read_seconds
        self._total_seconds, self._retry_seconds = total_seconds, retry_seconds
        self._token: str | None = None
        self._clock = ""
        self.page_size = 0
        self.bytes_read = 0

    def __enter__(self) -> Self:
        import httpx

        timeout = httpx.Timeout(self._read_seconds, connect=CONNECT_SECONDS)
        self._client = httpx.Client(
            base_url=self._origin, timeout=timeout, follow_redirects=False, trust_env=False, verify=self._trusted()
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    @property
    def clock(self) -> str:
        """The source's clock of its first answer; empty before."""
        return self._clock

    @contextlib.contextmanager
    def read(self, request: Request) -> Iterator[Delivery]:
        """The rows of a request. See :class:`~yingshang.connectors.base.WindowSource`.

        Without an upper bound, the API gives what lies before its clock; what claims to lie after it is asked for
        apart, so that it is seen.
        """
        deadline = time.monotonic() + self._total_seconds
        columns: dict[str, str] = {}
        pulls = [_Pull(self, request, request.low, request.high, deadline, columns)]
        if request.high is None:
            pulls.append(_Pull(self, request, pulls[0].clock, END_OF_TIME, deadline, columns))
        total = sum(pull.total for pull in pulls)
        yield Delivery(columns, lambda: total, _batches(self, pulls, columns))

    def page(self, table: str, target: str, deadline: float) -> dict[str, Any]:
        """One page as sent, numbers as text. Retries what is worth it."""
        import stamina

        try:
            for attempt in stamina.retry_context(
                on=_wait,
                attempts=ATTEMPTS,
                timeout=min(self._retry_seconds, max(deadline - time.monotonic(), 0.1)),
                wait_initial=0.2,
                wait_max=20.0,
                wait_jitter=0.2,
            ):
                with attempt:
                    if time.monotonic() > deadline:
                        raise SourceUnavailable(
                            f"{self._named}: reading {table} took longer than {self._total_seconds:.0f} s"
                        )
                    return self._answer(table, target)
        except _Again as error:
            raise SourceUnavailable(f"{self._named} at {self._origin}, {table}: {error}") from None
        raise AssertionError("unreachable")

    def first_target(self, request: Request, low: str | None, high: str | None) -> str:
        query = {"from": low or "0" * 14, "limit": str(self._page_rows)}
        if high is not None:
            query["to"] = high
        return f"{self._base}/api/v1/{request.table}?{urlencode(query)}"

    def next_target(self, link: str, table: str) -> str:
        """The path and query of a next link; it must stay at this API."""
        parts = urlsplit(link)
        if parts.netloc and f"{parts.scheme}://{parts.netloc}" != self._origin:
            raise SourceInconsistent(f"{self._named}: the next page of {table} points to another host")
        path = parts.path if parts.path.startswith("/") else f"/{parts.path}"
        if not path.startswith(f"{self._base}/api/"):
            path = f"{self._base}{path}"
        return f"{path}?{parts.query}" if parts.query else path

    def saw_clock(self, clock: object, table: str) -> str:
        text = clock if isinstance(clock, str) else ""
        try:
            clock_plus(text, timedelta(0))
        except SourceInconsistent as error:
            raise self.inconsistent(table, str(error)) from None
        self._clock = self._clock or text
        return text

    def inconsistent(self, table: str, what: str) -> SourceInconsistent:
        return SourceInconsistent(f"{self._named} at {self._origin}{self._base}, table {table}: {what}")

    def _trusted(self) -> ssl.SSLContext | bool:
        """Whose certificates are believed: the public authorities, or those of the file ``?ca=`` of the connection."""
        if self._authorities is None:
            return True
        try:
            return ssl.create_default_context(cafile=self._authorities)
        except (OSError, ssl.SSLError) as error:
            raise CredentialError(f"{self._named}: its ca file is no certificate ({type(error).__name__})") from None

    def _answer(self, table: str, target: str) -> dict[str, Any]:
        response = self._send("GET", target, table, headers=self._signed("GET", target))
        if response.status_code == 401:
            self._token = None
            response = self._send("GET", target, table, headers=self._signed("GET", target))
            if response.status_code == 401:
                raise CredentialError(f"{self._named} at {self._origin} refuses a fresh token for {table}")
        self._check(response, table)
        try:
            page = json.loads(response.content, parse_float=str, parse_int=str, parse_constant=_no_constant)
        except ValueError:
            kind = response.headers.get("content-type", "no content type")
            raise self.inconsistent(
                table, f"a page is not JSON ({kind}, {len(response.content)} bytes): ask the node to repair its API"
            ) from None
        self.page_size = len(response.content)
        self.bytes_read += self.page_size
        if not isinstance(page, dict):
            raise self.inconsistent(table, "a page is JSON, but not an object")
        return page

    def _signed(self, method: str, target: str) -> dict[str, str]:
        stamp, nonce = time.strftime(CLOCK_FORMAT), secrets.token_hex(16)
        if self._token is None:
            self._token = self._fetch_token()
        return {
            "Authorization": f"Bearer {self._token}",
            "X-Timestamp": stamp,
            "X-Nonce": nonce,
            "X-Signature": self._signature(method, target, stamp, nonce),
        }

    def _fetch_token(self) -> str:
        stamp, nonce = time.strftime(CLOCK_FORMAT), secrets.token_hex(16)
        body = {
            "client_id": self._login,
            "timestamp": stamp,
            "nonce": nonce,
            "signature": self._signature(self._login, stamp, nonce),
        }
        response = self._send("POST", f"{self._base}/oauth/token", "the token", json=body)
        if response.status_code in (400, 401, 403):
            raise CredentialError(f"{self._named} at {self._origin} refuses the client id or its secret")
        self._check(response, "the token")
        try:
            token = response.json()["access_token"]
        except (ValueError, KeyError, TypeError):
            raise self.inconsistent("(token)", "the answer to a token request holds none") from None
        return str(token)

    def _signature(self, *parts: str) -> str:
        return hmac.new(self._secret, "\n".join(parts).encode(), hashlib.sha256).hexdigest()

    def _send(self, method: str, target: str, table: str, **options: Any) -> httpx.Response:
        import httpx

        try:
            with self._client.stream(method, target, **options) as response:
                body = bytearray()
                started = time.monotonic()
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > PAGE_BYTES:
                        raise self.inconsistent(table, f"a page is larger than {PAGE_BYTES >> 20} MB")
                    if time.monotonic() - started > 2 * self._read_seconds:
                        raise _Again("a page trickles in too slowly")
        except httpx.TransportError as error:
            if refused := _certificate_error(error):
                raise CredentialError(
                    f"{self._named} at {self._origin}: its certificate is not good ({refused}): nothing was sent; ask"
                    " the node to renew it"
                ) from None
            raise _Again(f"{type(error).__name__}: {error}") from None
        headers = {key: value for key, value in response.headers.items() if key not in ("content-encoding",)}
        return httpx.Response(response.status_code, headers=headers, content=bytes(body))

    def _check(self, response: httpx.Response, table: str) -> None:
        status = response.status_code
        if status == 200:
            return
        if status == 429 or status >= 500:
            raise _Again(f"it answers {status}", _retry_after(response))
        if status == 403:
            raise CredentialError(f"{self._named} at {self._origin} does not let us read {table} (403)")
        if status == 404:
            raise ContractError(f"{self._named} at {self._origin} does not provide {table} (404)")
        raise self.inconsistent(table, f"it answers {status}")


class _Pull:
    """The pages of one range. The first is fetched at once: it tells clock and total."""

    def __init__(
        self,
        source: HttpSource,
        request: Request,
        low: str | None,
        high: str | None,
        deadline: float,
        columns: dict[str, str],
    ) -> None:
        self._source, self._table, self._deadline, self._columns = source, request.table, deadline, columns
        self._first = source.page(self._table, source.first_target(request, low, high), deadline)
        self.clock = source.saw_clock(self._first.get("clock"), self._table)
        self.total = self._total(self._first)
        self._note_columns(self._rows(self._first))

    def pages(self) -> Iterator[list[dict[str, Any]]]:
        seen: set[str] = set()
        edges: set[tuple[str, str]] = set()
        page, read = self._first, 0
        while True:
            rows = self._rows(page)
            self._note_columns(rows)
            read += len(rows)
            if read > self.total:
                raise self._wrong(f"it announced {self.total} rows and has sent {read}: pages repeat")
            if rows:
                edge = (json.dumps(rows[0], sort_keys=True), json.dumps(rows[-1], sort_keys=True))
                if edge in edges:
                    raise self._wrong("it sends a page for the second time")
                edges.add(edge)
            yield rows
            if "next" not in page:
                raise self._wrong(f"a page after {read} rows has no key `next`")
            link = page["next"]
            if link is None:
                break
            if not isinstance(link, str) or not link or link in seen or not rows:
                raise self._wrong(f"the next link after {read} rows leads nowhere or back")
            seen.add(link)
            page = self._source.page(self._table, self._source.next_target(link, self._table), self._deadline)
            if self._total(page) != self.total:
                raise self._wrong(f"its total changed from {self.total} to {self._total(page)} between pages")
        if read != self.total:
            raise self._wrong(f"it announced {self.total} rows and sent {read}")

    def _rows(self, page: dict[str, Any]) -> list[dict[str, Any]]:
        rows = page.get("rows")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self._wrong("a page has no list of rows")
        if page.get("table") not in (None, self._table):
            raise self._wrong("a page is of another table")
        return rows

    def _total(self, page: dict[str, Any]) -> int:
        total = page.get("total")
        if not isinstance(total, str) or not total.isascii() or not total.isdigit():
            raise self._wrong("a page tells no total")
        return int(total)

    def _note_columns(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            for key in row:
                self._columns.setdefault(str(key).upper(), "json")

    def _wrong(self, what: str) -> SourceInconsistent:
        return self._source.inconsistent(self._table, what)


class _Again(Exception):
    """Worth another try, after ``wait`` seconds if the source says so."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


def _wait(error: Exception) -> bool | float:
    if not isinstance(error, _Again):
        return False
    return True if error.wait is None else error.wait


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return min(float(text), RETRY_SECONDS) if text.isascii() and text.isdigit() else None


def _batches(source: HttpSource, pulls: list[_Pull], columns: dict[str, str]) -> Iterator[pa.RecordBatch]:
    held: list[dict[str, Any]] = []
    size = 0
    for pull in pulls:
        for rows in pull.pages():
            held += rows
            size += source.page_size
            if len(held) >= BATCH_ROWS or size >= BATCH_CHARACTERS:
                yield _batch(held, columns)
                held, size = [], 0
    if held:
        yield _batch(held, columns)


def _batch(rows: list[dict[str, Any]], columns: dict[str, str]) -> pa.RecordBatch:
    names = tuple(columns)
    upper = [{str(key).upper(): value for key, value in row.items()} for row in rows]
    values = [[_text(row.get(name)) for name in names] for row in upper]
    try:
        return text_batch(names, values)
    except UnicodeEncodeError:
        return text_batch(names, [[_well_formed(value) for value in row] for row in values])


def _well_formed(value: str | None) -> str | None:
    """A surrogate that JSON holds alone, as no text can, becomes U+FFFD and its digits: the row checks refuse it."""
    return value and _SURROGATE.sub(lambda found: f"\ufffd{ord(found[0]):04x}", value)


def _certificate_error(error: BaseException | None) -> str | None:
    """What is wrong with a server's certificate, if that is why it was not spoken with."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        error = error.__cause__ or error.__context__
    return None


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "1" if value else "0"
    return json.dumps(value, ensure_ascii=False)


def _no_constant(text: str) -> str:
    raise ValueError(text)
