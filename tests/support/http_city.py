"""One city's signed JSON API as a real server, which can be told to misbehave."""

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

CLOCK = "20240814000500"
SECRET = "s3cret"
Page = dict[str, Any]


class City:
    """One city's API. ``spoil`` may change an answer: (number of the page request, page) -> (status, headers, body)."""

    def __init__(self, rows: int = 25) -> None:
        self.rows = [{"CODE": f"E{n}", "PRICE": n + 0.5, "DATA_TIMESTAMP": f"202408130{n:05d}"} for n in range(rows)]
        self.spoil: Callable[[int, Page], tuple[int, dict[str, str], bytes] | None] = lambda number, page: None
        self.table = "BID_SECTION"
        self.token_pages = 10_000
        self.tokens = 0
        self.pages = 0
        self.left = 0
        self.nonces: set[str] = set()
        self.targets: list[str] = []

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if method == "POST":
            return self._token(json.loads(body))
        stamp, nonce = headers["X-Timestamp"], headers["X-Nonce"]
        assert nonce not in self.nonces
        self.nonces.add(nonce)
        assert headers["X-Signature"] == sign("GET", target, stamp, nonce)
        if headers["Authorization"] != f"Bearer token-{self.tokens}" or self.left <= 0:
            return 401, {}, b'{"error":"token_expired"}'
        self.left -= 1
        self.targets.append(target)
        page = self._page(target)
        self.pages += 1
        return self.spoil(self.pages, page) or (200, {}, json.dumps(page).encode())

    def _token(self, told: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        if told["signature"] != sign(told["client_id"], told["timestamp"], told["nonce"]):
            return 401, {}, b'{"error":"bad_signature"}'
        self.tokens += 1
        self.left = self.token_pages
        return 200, {}, json.dumps({"access_token": f"token-{self.tokens}", "expires_in": 60}).encode()

    def _page(self, target: str) -> Page:
        query = {key: values[0] for key, values in parse_qs(urlsplit(target).query).items()}
        high = query.get("to", CLOCK)
        window = [row for row in self.rows if query["from"] < str(row["DATA_TIMESTAMP"]) <= high]
        at, limit = int(query.get("after", "0")), int(query["limit"])
        link = None
        if at + limit < len(window):
            link = f"/city/1/api/v1/{self.table}?from={query['from']}&to={high}&limit={limit}&after={at + limit}"
        page = {"table": self.table, "clock": CLOCK, "total": len(window), "rows": window[at : at + limit]}
        return page | {"next": link}


def sign(*parts: str) -> str:
    return hmac.new(SECRET.encode(), "\n".join(parts).encode(), hashlib.sha256).hexdigest()


@contextmanager
def served(city: City) -> Iterator[int]:
    """Serve a city; gives the port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, content = city.answer(self.command, self.path, self.headers, body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer  # noqa: N815 - names of the base class

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
