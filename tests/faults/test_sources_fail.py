"""Sources that die, lie, stall, refuse or change: nothing of it loads, and a retry completes (I1, I2, I6)."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import json
import os
import signal
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from tests.support.faults import NEIGHBOUR, VICTIM, Lot, PgNode, Scene, lot_of
from tests.support.faults_table import ROUNDS, Tally
from tests.support.http_city import SECRET, City, Page, served
from tests.support.ingest import lot

from localpg import Cluster
from localpg.cluster import free_port
from yingshang.connectors import http
from yingshang.errors import (
    ContractError,
    CredentialError,
    SourceInconsistent,
    SourceUnavailable,
    YingshangError,
)
from yingshang.ingest import close_night, ingest_node

Answer = tuple[int, dict[str, str], bytes]


def tonight(scene: Scene) -> None:
    """The next night; the neighbour has new lots."""
    scene.open()
    neighbour = scene.sources[NEIGHBOUR]
    assert isinstance(neighbour, PgNode)
    neighbour.add(3, scene.stamp())


def refused(scene: Scene, kind: type[YingshangError], *named: str) -> None:
    """Nothing of the node loads, and it is named; the province publishes without it and says so."""
    failed = scene.ingest()
    assert list(failed) == [VICTIM], failed
    assert isinstance(failed[VICTIM], kind), failed
    for word in (VICTIM, "trading.lot", *named):
        assert word in str(failed[VICTIM]), failed[VICTIM]
    assert scene.batches() == []
    scene.publish(without=[VICTIM])
    assert scene.missing() == [VICTIM]
    scene.check()


def mended(scene: Scene) -> None:
    """The same run again: now it comes."""
    assert scene.ingest() == {}
    assert scene.batches()
    scene.publish()
    scene.check()


# --- 1 ----------------------------------------------------------------------------------------------------------------


@pytest.mark.fault(1, "source server killed while it is read")
@pytest.mark.parametrize("variant", ["kill -9 of the server", "kill -9 of the back end", "immediate stop"])
def test_a_database_server_that_is_killed_while_it_is_read_loses_nothing(
    scene: Scene, pg_server: Cluster, tmp_path: Path, tally: Tally, variant: str
) -> None:
    scene.postgres(NEIGHBOUR, pg_server)
    server = scene.enter_context(contextlib.closing(_Server(tmp_path)))
    node = scene.postgres(VICTIM, server.cluster, rows=0)
    node.source.execute("alter table bid_section rename to lots")
    node.source.execute(
        f"""insert into lots select 'E{VICTIM}' || lpad(i::text, 13, '0') || '001',
            'E{VICTIM}' || lpad(i::text, 13, '0'), repeat('标', 490), null, null, null, i * 0.01, null, '0',
            null, null, null, null, '20240813100000', '0' from generate_series(1, 6000) i"""
    )
    node.source.execute(
        "create view bid_section as select * from lots"
        " where case when right(tender_project_code, 2) = '50' then pg_sleep(0.02) is not null else true end"
    )
    scene.whole_night()
    for _ in range(ROUNDS):
        with tally.strike(variant) as strike:
            tonight(scene)
            node.source.execute("update lots set data_timestamp = %s", scene.stamp())
            before = scene.ask("select max(cursor_high) from ops.batch where node_code = %s", VICTIM)
            read: list[int] = []

            def cut_off(_: str, rows: int) -> None:
                read.append(rows)  # noqa: B023 - of this round
                if len(read) == 1:  # noqa: B023
                    server.end(variant)

            with pytest.raises(SourceUnavailable, match=rf"trading.lot of node {VICTIM}, night {scene.night}"):
                ingest_node("trading", VICTIM, scene.run_id, on_progress=cut_off)
            assert 0 < sum(read) < 6000
            strike.hit()
            assert scene.batches() == []
            assert scene.ask("select max(cursor_high) from ops.batch where node_code = %s", VICTIM) == before
            assert scene.ingest(NEIGHBOUR) == {}
            scene.check()
            server.start()
            mended(scene)
            strike.cost = scene.cost()


class _Server:
    """A PostgreSQL server of its own, at one port, to be killed."""

    def __init__(self, folder: Path) -> None:
        self.cluster = Cluster(folder / "source_pg", port=free_port(), settings={"fsync": "off"}).start()

    def start(self) -> None:
        self.cluster.start()
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(psycopg.OperationalError):  # it recovers
                psycopg.connect(self.cluster.superuser_dsn()).close()
                break
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def end(self, variant: str) -> None:
        if variant == "kill -9 of the server":
            self.cluster.kill()
        elif variant == "immediate stop":
            self.cluster.stop("immediate")
        else:
            with psycopg.connect(self.cluster.superuser_dsn(), autocommit=True) as admin:
                pids = admin.execute(
                    "select pid from pg_stat_activity where application_name = 'yingshang_ingest' and state = 'active'"
                ).fetchall()
            assert pids
            for (pid,) in pids:
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        self.cluster.destroy()


# --- 18 ---------------------------------------------------------------------------------------------------------------


class HttpNode(City):
    """A city with an API, whose rows are the truth."""

    node = VICTIM

    def truth(self) -> Counter[Lot]:
        return Counter(lot_of(VICTIM, row) for row in self.rows)


@pytest.fixture
def city(scene: Scene, pg_server: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpNode]:
    """A city of three pages, published; waits are short."""
    monkeypatch.setattr("tests.support.http_city.CLOCK", "20240814003000")
    for name, seconds in (("read_seconds", 1.0), ("retry_seconds", 6.0), ("total_seconds", 20.0)):
        monkeypatch.setitem(http.HttpSource.__init__.__kwdefaults__, name, seconds)
    monkeypatch.setitem(http.HttpSource.__init__.__kwdefaults__, "page_rows", 20)
    scene.postgres(NEIGHBOUR, pg_server)
    made = HttpNode()
    made.rows = [lot(n, stamp=f"20240813{100000 + n}") for n in range(1, 51)]
    with served(made) as port:
        scene.add(made, "http", f"http://client:{SECRET}@127.0.0.1:{port}/city/1")
        scene.whole_night()
        yield made


def grow(scene: Scene, city: HttpNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new night: every lot of the city has a new version, and there are new ones."""
    tonight(scene)
    monkeypatch.setattr("tests.support.http_city.CLOCK", scene.clock())
    for number, row in enumerate(city.rows, start=1):
        row["DATA_TIMESTAMP"] = f"{scene.night:%Y%m%d}{100000 + number}"
    city.pages = 0


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
    ready: list[int] = []
    loop = asyncio.new_event_loop()
    done = asyncio.Event()
    pages = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        ready.append(server.sockets[0].getsockname()[1])
        await done.wait()
        server.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    while not ready:
        time.sleep(0.01)
    try:
        yield ready[0], stalled
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(10)
        loop.close()


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


# --- 12 in a database -------------------------------------------------------------------------------------------------

COLUMNS: dict[str, tuple[str, str, tuple[str, ...] | None]] = {
    "added": ("add column note text", "drop column note", None),
    "required one dropped": (
        "drop column is_delete", "add column is_delete varchar default '0'", ("required IS_DELETE",)
    ),
    "key renamed": (
        "rename column bid_section_code to section_code", "rename column section_code to bid_section_code",
        ("has no column BID_SECTION_CODE", "SECTION_CODE"),
    ),
    "retyped, castable": (
        "alter column price_unit type int using price_unit::int", "alter column price_unit type varchar", None,
    ),
    "table gone": ("rename to other", "", ("there is no table bid_section",)),
}  # fmt: skip


@pytest.mark.fault(12, "columns of a table")
def test_columns_of_a_table_that_change_load_with_a_note_unless_a_required_one_is_gone(
    scene: Scene, pg_server: Cluster, tally: Tally
) -> None:
    scene.postgres(NEIGHBOUR, pg_server)
    node = scene.postgres(VICTIM, pg_server)
    scene.whole_night()
    for variant in list(COLUMNS) * ROUNDS:
        change, back, named = COLUMNS[variant]
        with tally.strike(variant) as strike:
            tonight(scene)
            node.add(5, scene.stamp())
            node.source.execute(f"alter table bid_section {change}")
            strike.hit()
            undo = f"alter table {'other rename to bid_section' if variant == 'table gone' else f'bid_section {back}'}"
            if named is None:
                mended(scene)
                ((drift,),) = scene.ask(
                    "select drift from ops.batch where run_id = %s and node_code = %s", scene.run_id, VICTIM
                )
                assert list(drift) == (["extra"] if variant == "added" else ["retyped"])
                node.source.execute(undo)
            else:
                failed = scene.ingest()
                assert list(failed) == [VICTIM]
                assert isinstance(failed[VICTIM], ContractError)
                assert all(word in str(failed[VICTIM]) for word in named), failed
                scene.check()
                node.source.execute(undo)
                mended(scene)
            strike.cost = scene.cost()


@pytest.mark.fault(12, "columns of a table")
def test_a_number_that_became_text_that_is_none_is_quarantined_row_by_row(
    scene: Scene, pg_server: Cluster, tally: Tally
) -> None:
    scene.postgres(NEIGHBOUR, pg_server)
    node = scene.postgres(VICTIM, pg_server)
    scene.whole_night()
    node.source.execute("alter table bid_section alter column contract_reckon_price type varchar")
    for _ in range(ROUNDS):
        with tally.strike("retyped, not castable") as strike:
            tonight(scene)
            node.add(5, scene.stamp())
            node.add(1, scene.stamp(), CONTRACT_RECKON_PRICE="面议")
            assert scene.ingest() == {}
            assert scene.batches()[0][2] == 1
            strike.hit()
            tonight(scene)
            node.source.execute("update bid_section set contract_reckon_price = '7', data_timestamp = %s"
                                " where contract_reckon_price = '面议'", scene.stamp())  # fmt: skip
            mended(scene)
            strike.cost = scene.cost()


# --- 8, 22, 23 --------------------------------------------------------------------------------------------------------


@pytest.mark.fault(8, "node offline for three nights")
def test_a_node_that_is_offline_for_three_nights_is_named_and_catches_up(
    scene: Scene, pg_server: Cluster, tally: Tally
) -> None:
    scene.postgres("210000", pg_server)
    for code in (NEIGHBOUR, "210300", "210400"):
        scene.postgres(code, pg_server)
    node = scene.postgres(VICTIM, pg_server)
    scene.whole_night()
    dsn = node.source.dsn
    for _ in range(ROUNDS):
        with tally.strike("three nights") as strike:
            for _ in range(3):
                tonight(scene)
                node.add(4, scene.stamp())
                scene.warehouse.add_connections({f"trading_{VICTIM}": "postgresql://u:p@127.0.0.1:1/front"})
                assert list(scene.ingest()) == [VICTIM]
                report = close_night(scene.run_id, dt.datetime.now(dt.UTC))
                assert list(report.systems["trading"].absent) == [VICTIM]
                scene.publish(without=[VICTIM])
                assert scene.missing() == [VICTIM]
                scene.check()
            strike.hit()
            scene.warehouse.add_connections({f"trading_{VICTIM}": dsn})
            tonight(scene)
            node.add(4, scene.stamp())
            mended(scene)
            assert scene.missing() == []
            assert scene.batches()[0][1] >= 16, "all four nights in one window"
            strike.cost = scene.cost()


@pytest.mark.fault(22, "credentials")
def test_a_wrong_password_fails_at_once_and_is_named(scene: Scene, pg_server: Cluster, tally: Tally) -> None:
    scene.postgres(NEIGHBOUR, pg_server)
    node = scene.postgres(VICTIM, pg_server)
    scene.whole_night()
    parts = urlsplit(node.source.dsn)
    for _ in range(ROUNDS):
        with tally.strike("wrong password of a database") as strike:
            tonight(scene)
            node.add(4, scene.stamp())
            wrong = node.source.dsn.replace(str(parts.password), "wrong")
            scene.warehouse.add_connections({f"trading_{VICTIM}": wrong})
            started = time.monotonic()
            refused(scene, CredentialError, "refuses the login")
            assert time.monotonic() - started < 30
            strike.hit()
            scene.warehouse.add_connections({f"trading_{VICTIM}": node.source.dsn})
            mended(scene)
            strike.cost = scene.cost()


@pytest.mark.fault(22, "credentials")
def test_a_certificate_that_is_not_good_is_refused_without_a_storm_of_retries(
    scene: Scene, city: HttpNode, tally: Tally, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uri = json.loads((scene.warehouse.state / "secrets" / "connections.json").read_text())[f"trading_{VICTIM}"]
    for variant in ["certificate expired", "certificate for another host"] * ROUNDS:
        with tally.strike(variant) as strike, _https(tmp_path, variant) as (port, shaken):
            grow(scene, city, monkeypatch)
            wrong = uri.replace("http://", "https://").replace(f":{urlsplit(uri).port}/", f":{port}/")
            wrong += f"?ca={tmp_path / 'city.pem'}"
            scene.warehouse.add_connections({f"trading_{VICTIM}": wrong})
            refused(scene, CredentialError, "certificate")
            assert len(shaken) == 1, "it is not tried again and again"
            strike.hit()
            scene.warehouse.add_connections({f"trading_{VICTIM}": uri})
            mended(scene)
            strike.cost = scene.cost()


@contextlib.contextmanager
def _https(folder: Path, variant: str) -> Iterator[tuple[int, list[int]]]:
    """A TLS server with a certificate that its clients would trust, were it not expired or another host's."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    days = (-30, -1) if variant.endswith("expired") else (-1, 30)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "city")])
    hosts: list[x509.GeneralName] = (
        [x509.DNSName("other.example")]
        if variant.endswith("host")
        else [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=days[0]))
        .not_valid_after(now + dt.timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "city.pem", folder / "city.key"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    shaken: list[int] = []

    class Server(ThreadingHTTPServer):
        def get_request(self) -> Any:
            sock, address = super().get_request()
            shaken.append(1)
            return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), address

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1]), shaken
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.mark.fault(23, "source clock off")
@pytest.mark.parametrize("variant", ["one hour ahead", "one hour behind", "summer time: an hour twice"])
def test_a_clock_that_is_an_hour_off_misses_and_doubles_no_row(
    scene: Scene, pg_server: Cluster, tally: Tally, variant: str
) -> None:
    """The node stamps its rows by the same clock that it tells; ours has no say."""
    scene.postgres(NEIGHBOUR, pg_server)
    node = scene.postgres(VICTIM, pg_server)
    scene.whole_night()
    for number in range(ROUNDS):
        with tally.strike(variant) as strike:
            tonight(scene)
            day, after = scene.night, scene.night + dt.timedelta(days=1)
            if variant == "one hour ahead":
                node.add(4, f"{after:%Y%m%d}013000")  # in truth 00:30, when it is read
                node.source.set_clock(f"{after:%Y%m%d}013000")
            elif variant == "one hour behind":
                node.add(4, f"{day:%Y%m%d}233000")
                node.source.set_clock(f"{day:%Y%m%d}233000")
            else:
                node.add(4, f"{day:%Y%m%d}235500")
                node.source.set_clock(f"{day:%Y%m%d}235959")
            mended(scene)
            strike.hit()
            tonight(scene)  # the clock has been set right; rows of the hour between have stamps before the last ones
            stamp = {
                "one hour ahead": f"{after:%Y%m%d}004500",
                "one hour behind": f"{day:%Y%m%d}234500",
                "summer time: an hour twice": f"{day:%Y%m%d}230500",
            }[variant]
            node.add(4, stamp)
            mended(scene)
            assert number < ROUNDS
            strike.cost = scene.cost()
