"""APIs that answer wrongly, hesitate or never end: an error or a wait, never "0 rows" (I1, I6)."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import urlsplit

import pytest
from tests.support.faults import VICTIM, Scene
from tests.support.faults_city import HttpNode, grow
from tests.support.faults_nights import mended, refused
from tests.support.faults_table import ROUNDS, Tally
from tests.support.http_city import Page
from tests.support.ingest import lot
from tests.support.loops import serving_beside

from yingshang.errors import SourceInconsistent, SourceUnavailable

Answer = tuple[int, dict[str, str], bytes]

# --- 18 ---------------------------------------------------------------------------------------------------------------


def _with_total(page: Page, more: int) -> Answer:
    return (200, {}, json.dumps(page | {"total": page["total"] + more}).encode())


def _page(change: Callable[[Page], Page]) -> Callable[[Page], Answer]:
    return lambda page: (200, {"Content-Type": "application/json"}, json.dumps(change(page)).encode())


WRONG_ANSWERS: dict[str, tuple[Callable[[Page], Answer], str]] = {
    "HTML page with status 200": (
        lambda page: (200, {"Content-Type": "text/html"}, b"<html>maintenance</html>"), "a page is not JSON",
    ),
    "empty body with status 200": (lambda page: (200, {}, b""), "a page is not JSON"),
    "empty object": (lambda page: (200, {}, b"{}"), "tells no total"),
    "missing next link": (_page(lambda page: {k: v for k, v in page.items() if k != "next"}), "no key `next`"),
    "next link that ends too early": (_page(lambda page: page | {"next": None}), "announced 50 rows and sent"),
    "total that changes": (_page(lambda page: page | {"total": 49}), "total changed"),
    "rows left out of a page": (_page(lambda page: page | {"rows": page["rows"][:-1]}), "announced 50 rows and sent"),
    "page twice": (_page(lambda page: page | {"rows": page["rows"] * 3}), "pages repeat"),
    "JSON cut off": (lambda page: (200, {}, json.dumps(page).encode()[:-40]), "a page is not JSON"),
    "500 that stays": (lambda page: (500, {}, b""), "answers 500"),
}  # fmt: skip


@pytest.mark.fault(18, "API that answers wrongly")
def test_a_wrong_answer_is_an_error_and_never_no_rows(
    scene: Scene, city: HttpNode, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variant in list(WRONG_ANSWERS) * ROUNDS:
        wrong, message = WRONG_ANSWERS[variant]
        with tally.strike(variant) as strike:
            grow(scene, city, monkeypatch)
            struck: list[int] = []

            def spoil(number: int, page: Page) -> Answer | None:
                if page["total"] == 0 or (number < 3 and "500" not in variant):  # noqa: B023 - of this round
                    return None
                struck.append(number)  # noqa: B023
                return wrong(page)  # noqa: B023

            city.spoil = spoil
            refused(scene, SourceUnavailable if "500" in variant else SourceInconsistent, message)
            assert struck
            strike.hit()
            city.spoil = lambda number, page: None
            mended(scene)
            strike.cost = scene.cost()


@pytest.mark.fault(18, "API that answers wrongly")
def test_a_total_that_disagrees_from_the_first_page_on_is_an_error(
    scene: Scene, city: HttpNode, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    for more in (1, -1) * ROUNDS:
        with tally.strike("total that disagrees") as strike:
            grow(scene, city, monkeypatch)
            city.spoil = lambda number, page: _with_total(page, more) if page["total"] else None  # noqa: B023
            refused(scene, SourceInconsistent, "announced")
            strike.hit()
            city.spoil = lambda number, page: None
            mended(scene)
            strike.cost = scene.cost()


@pytest.mark.fault(18, "API that hesitates")
@pytest.mark.parametrize("variant", ["429 with Retry-After", "500 twice", "401 after token expiry"])
def test_what_passes_by_itself_is_waited_out(
    scene: Scene, city: HttpNode, tally: Tally, monkeypatch: pytest.MonkeyPatch, variant: str
) -> None:
    for _ in range(ROUNDS):
        with tally.strike(variant) as strike:
            grow(scene, city, monkeypatch)
            answers: dict[int, Answer] = {
                "429 with Retry-After": {2: (429, {"Retry-After": "1"}, b"")},
                "500 twice": {2: (500, {}, b""), 3: (502, {}, b"")},
                "401 after token expiry": {},
            }[variant]
            city.spoil = lambda number, page: answers.get(number)  # noqa: B023 - of this round
            tokens = city.tokens
            city.token_pages = city.left = 2 if variant.startswith("401") else 10_000
            started = time.monotonic()
            assert scene.ingest() == {}
            waited = time.monotonic() - started
            strike.hit()
            assert waited >= 1 or not variant.startswith("429")
            assert city.tokens - tokens > (1 if variant.startswith("401") else 0)
            city.token_pages = 10_000
            scene.publish()
            scene.check()
            strike.cost = scene.cost()


@pytest.mark.fault(18, "API that answers wrongly")
def test_pages_that_shift_while_rows_come_in_lose_and_double_nothing(
    scene: Scene, city: HttpNode, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offsets instead of keysets: a row that comes in at the front moves all others to the next page."""
    for number in range(ROUNDS):
        with tally.strike("page that shifts under inserts") as strike:
            grow(scene, city, monkeypatch)
            struck: list[int] = []

            def spoil(at: int, page: Page) -> Answer | None:
                if at == 2:
                    city.rows.insert(0, lot(1000 + number, stamp=scene.stamp("090000")))  # noqa: B023
                    struck.append(at)  # noqa: B023
                return None

            city.spoil = spoil
            refused(scene, SourceInconsistent, "total changed")
            assert struck
            strike.hit()
            city.spoil = lambda at, page: None
            mended(scene)
            strike.cost = scene.cost()


@pytest.mark.fault(18, "API that hesitates")
@pytest.mark.parametrize("variant", ["never answers", "trickles", "breaks off in a body"])
def test_an_answer_that_never_ends_is_given_up(
    scene: Scene, city: HttpNode, tally: Tally, monkeypatch: pytest.MonkeyPatch, variant: str
) -> None:
    """A server in front of the city's, which passes on what it is told and then stalls."""
    uri = json.loads((scene.warehouse.state / "secrets" / "connections.json").read_text())[f"trading_{VICTIM}"]
    parts = urlsplit(uri)
    for _ in range(ROUNDS):
        with tally.strike(variant) as strike, _stalling(int(parts.port or 0), variant) as (port, stalled):
            grow(scene, city, monkeypatch)
            scene.warehouse.add_connections({f"trading_{VICTIM}": uri.replace(f":{parts.port}/", f":{port}/")})
            started = time.monotonic()
            refused(scene, SourceUnavailable)
            assert time.monotonic() - started < 60
            assert stalled.is_set()
            strike.hit()
            scene.warehouse.add_connections({f"trading_{VICTIM}": uri})
            mended(scene)
            strike.cost = scene.cost()


@contextlib.contextmanager
def _stalling(behind: int, variant: str) -> Iterator[tuple[int, threading.Event]]:
    """A TCP server that hands requests on and stalls in the second page."""
    stalled = threading.Event()
    pages = 0

    async def serve(done: asyncio.Event, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal pages
        there, back = await asyncio.open_connection("127.0.0.1", behind)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while request := await _message(reader):
                back.write(request)
                answer = await _message(there)
                if request.startswith(b"GET"):
                    pages += 1
                if pages < 2:
                    writer.write(answer)
                    continue
                stalled.set()
                head, _, body = answer.partition(b"\r\n\r\n")
                if variant == "breaks off in a body":
                    writer.write(head + b"\r\n\r\n" + body[: len(body) // 2])
                    break
                if variant == "trickles":
                    writer.write(head + b"\r\n\r\n")
                    for byte in body:
                        writer.write(bytes([byte]))
                        await asyncio.sleep(0.2)
                await done.wait()
        writer.close()
        back.close()

    async def start(done: asyncio.Event) -> tuple[asyncio.Server, int]:
        server = await asyncio.start_server(partial(serve, done), "127.0.0.1", 0)
        return server, server.sockets[0].getsockname()[1]

    with serving_beside(start) as port:
        yield port, stalled


async def _message(reader: asyncio.StreamReader) -> bytes:
    """One HTTP message with its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
    )
    return head + await reader.readexactly(length)


@pytest.mark.fault(13, "bytes and characters")
def test_a_lone_surrogate_in_json_costs_its_own_row_only(
    scene: Scene, city: HttpNode, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(ROUNDS):
        with tally.strike("lone surrogate in JSON") as strike:
            grow(scene, city, monkeypatch)
            good = city.rows[7]["BID_SECTION_NAME"]
            city.rows[7]["BID_SECTION_NAME"] = "a\ud800b"
            assert scene.ingest() == {}
            assert scene.batches() == [(50, 49, 1, 0)]
            strike.hit()
            city.rows[7]["BID_SECTION_NAME"] = good
            grow(scene, city, monkeypatch)
            mended(scene)
            strike.cost = scene.cost()
