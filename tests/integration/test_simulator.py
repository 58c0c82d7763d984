"""The simulated province as readers meet it: its truth is counted again from its databases, API and drops.

The recount knows nothing of the simulator's books: it reads with psycopg, httpx and asyncssh, maps codes by rules of
its own and adds with decimals.
"""

import asyncio
import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import asyncssh
import polars as pl
import psycopg
import pytest
from tests.support.sources import Api, Row, Sftp, everything, names_in

from simulator import Ports, Province, ProvinceError, frontdb, serving
from simulator.__main__ import main
from simulator.books import number_of
from simulator.fleet import all_nodes
from simulator.generate import prepare_night

TABLES = {
    "project": ("TENDER_PROJECT", ("TENDER_PROJECT_CODE",), None, "CREATE_TIME"),
    "lot": ("BID_SECTION", ("BID_SECTION_CODE",), "CONTRACT_RECKON_PRICE", "CREATE_TIME"),
    "notice": ("TENDER_NOTICE", ("URL",), None, "NOTICE_SEND_TIME"),
    "bid": ("BIDDER", ("BID_SECTION_CODE", "BIDDER_ORG_CODE"), "BID_PRICE", "CHECKIN_TIME"),
    "result": ("WIN_RESULT", ("BID_SECTION_CODE", "WIN_BIDDER_CODE"), "BID_AMOUNT", "NOTICE_SEND_TIME"),
    "contract": ("CONTRACT", ("BID_SECTION_CODE", "BIDDER_CODE"), "CONTRACT_PRICE", "CONTRACT_SIGN_TIME"),
    "performance": ("PERFORMANCE", ("BID_SECTION_CODE",), "SETTLE_PRICE", "FINISH_TIME"),
}
SOURCES = {dataset: (table, ("province", "city", "county")) for dataset, (table, *_) in TABLES.items()}
NIGHTS = (date(2024, 8, 13), date(2024, 8, 14), date(2024, 8, 15), date(2024, 8, 16))
CITY = {node.code: node.city for node in all_nodes()}


@dataclass(frozen=True)
class Sight:
    """What was true after one night, and what was seen at that time."""

    truth: pl.DataFrame
    reads: pl.DataFrame
    bad: pl.DataFrame
    rows: dict[tuple[str, str], list[Row]]
    window: dict[tuple[str, str], int]


@pytest.fixture(scope="module")
def province(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Province]:
    with Province(tmp_path_factory.mktemp("province"), profile="tiny", seed=7) as running:
        yield running


@pytest.fixture(scope="module")
def sights(province: Province) -> dict[date, Sight]:
    """Everything readable after each of four nights, the servers running on."""
    found, since = {}, dict[tuple[str, str], str]()
    for night in NIGHTS:
        if night != province.night:
            assert province.advance() == night
        rows = everything(province, "trading", SOURCES)
        window = {
            key: sum((r["DATA_TIMESTAMP"] or "") > since.get(key, "") for r in live(key, rs))
            for key, rs in rows.items()
        }
        for key, present in rows.items():
            stamps = [r["DATA_TIMESTAMP"] or "" for r in live(key, present)]
            if stamps:
                since[key] = f"{datetime.strptime(max(stamps), '%Y%m%d%H%M%S') - timedelta(hours=2):%Y%m%d%H%M%S}"  # noqa: DTZ007
        told = (province.truth(), province.reads(), province.bad_rows())
        found[night] = Sight(*(frame.filter(pl.col("system") == "trading") for frame in told), rows, window)
    return found


def live(key: tuple[str, str], rows: list[Row]) -> list[Row]:
    return [row for row in rows if (row["DATA_TIMESTAMP"] or "") < "2090"]


@pytest.mark.parametrize("night", NIGHTS, ids=str)
def test_the_truth_equals_a_recount_from_the_sources(sights: dict[date, Sight], night: date) -> None:
    counted = recount(sights[night].rows, night)
    expected = told(sights[night].truth)
    assert counted == expected
    assert sum(entry[0] for entry in expected.values()) > 2000
    assert sum(entry[4] for entry in expected.values()) > 3_000_000_000


@pytest.mark.parametrize("night", NIGHTS, ids=str)
def test_a_full_read_holds_as_many_rows_as_the_books_say(sights: dict[date, Sight], night: date) -> None:
    sight = sights[night]
    for row in sight.reads.to_dicts():
        seen = sight.rows[row["dataset"], row["node_code"]]
        assert len(live(("", ""), seen)) == row["full_rows"], row
        assert len(seen) - len(live(("", ""), seen)) == row["future_rows"], row


@pytest.mark.parametrize("night", NIGHTS[1:], ids=str)
def test_a_window_with_two_hours_of_overlap_holds_as_many_rows_as_the_books_say(
    sights: dict[date, Sight], night: date
) -> None:
    asked = sights[night].reads.filter(pl.col("connector").is_in(["postgres", "http"]))
    assert asked["rows"].sum() > 50
    for row in asked.to_dicts():
        assert sights[night].window[row["dataset"], row["node_code"]] == row["window_rows"], row
        assert row["window_rows"] >= row["rows"], row


def test_bad_rows_are_as_many_as_the_books_say(sights: dict[date, Sight]) -> None:
    for night in NIGHTS[:1]:
        promised: dict[tuple[str, str], int] = defaultdict(int)
        for row in sights[night].bad.to_dicts():
            promised[row["dataset"], row["node_code"]] += row["rows"]
        seen = {
            key: broken for key, rows in sights[night].rows.items()
            if (broken := sum(fault(key[0], key[1], row, night) for row in rows))
        }  # fmt: skip
        assert seen == dict(promised)
        assert sum(promised.values()) >= 20


def test_a_county_reads_nothing_but_its_own_schema(province: Province) -> None:
    uri = urlsplit(province.connections()["trading_210202"])
    with psycopg.connect(uri.geturl()) as connection:
        assert connection.execute("select exchange_clock()").fetchone()
        for other in ("exchange", "county_210211"):
            with pytest.raises(psycopg.Error):
                connection.execute(f"select count(*) from {other}.bid_section")
            connection.rollback()
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("delete from bid_section")
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(uri._replace(path="/front_210100").geturl())


def test_every_node_runs_the_systems_of_its_level(province: Province) -> None:
    connections = province.connections()
    schemes: dict[str, set[str]] = defaultdict(set)
    for name, uri in connections.items():
        system, code = name.split("_")
        level = next(node.level for node in all_nodes() if node.code == code)
        schemes[f"{system} {level}"].add(urlsplit(uri).scheme)
    trading = {"province": {"postgresql"}, "city": {"postgresql", "http"}, "county": {"postgresql", "sftp"}}
    assert schemes == {
        **{f"trading {level}": found for level, found in trading.items()},
        **{f"supervision {level}": found for level, found in trading.items()},
        "hotline province": {"postgresql"},
        "hotline city": {"http"},
        "sunshine province": {"postgresql"},
        "sunshine city": {"postgresql"},
    }
    assert len(connections) == 2 * len(province.nodes()) + 2 * 3


def test_a_login_of_one_system_reads_no_other(province: Province) -> None:
    connections = province.connections()
    for own, others in {
        "trading_210100": ("supervision.issue_event", "sunshine.disclosure"),
        "supervision_210100": ("exchange.bid_section", "sunshine.disclosure"),
        "sunshine_210100": ("exchange.bid_section", "hotline.work_order"),
        "supervision_210102": ("county_210102.bid_section", "exchange.bid_section"),
    }.items():
        with psycopg.connect(connections[own]) as connection:
            assert connection.execute("select exchange_clock()").fetchone()
            for other in others:
                with pytest.raises(psycopg.Error):
                    connection.execute(f"select count(*) from {other}")
                connection.rollback()


def test_numbers_are_numbers_in_databases_and_text_behind_an_api(province: Province) -> None:
    kinds = {
        ("supervision_210100", "issue_outcome"): {"amount": "numeric", "quantity": "bigint"},
        ("supervision_210000", "batch"): {"batch_no": "bigint"},
        ("sunshine_210000", "evaluation"): {"participants": "bigint", "satisfied": "bigint"},
        ("sunshine_210000", "registration"): {"new_users": "bigint"},
    }
    for (name, table), numbers in kinds.items():
        with psycopg.connect(province.connections()[name]) as connection:
            found = connection.execute(
                "select column_name, data_type from information_schema.columns where table_name = %s", [table]
            ).fetchall()
        assert {column: kind for column, kind in found if kind != "character varying"} == numbers
    api = Api(province, "210200", "supervision")
    assert api.token().status_code == 200
    rows = api.all("ISSUE_OUTCOME")
    assert all(isinstance(value, str | None) for row in rows for value in row.values())


def test_a_city_has_an_api_for_each_system(province: Province) -> None:
    hotline = Api(province, "210200", "hotline")
    assert hotline.token().status_code == 200
    assert hotline.get(f"{hotline.table('WORK_ORDER')}?limit=3").json()["table"] == "WORK_ORDER"
    assert hotline.get(f"{hotline.table('BIDDER')}?limit=3").status_code == 404
    trading = Api(province, "210200")
    assert trading.token().status_code == 200
    trading.path = hotline.path
    assert trading.get(f"{trading.table('WORK_ORDER')}?limit=3").json()["error"] == "invalid_token"
    assert trading.token().json()["error"] == "unknown_client"


def test_the_drops_of_two_systems_stand_apart(province: Province) -> None:
    connections = province.connections()
    trading = asyncio.run(names_in(connections["trading_210203"]))
    supervision = asyncio.run(names_in(connections["supervision_210203"]))
    assert {"ISSUE_EVENT_20240813.csv", "ISSUE_OUTCOME_20240813.manifest.json"} <= set(supervision)
    assert not {name for name in supervision if name.startswith("ISSUE")} & set(trading)


def test_an_sftp_login_sees_its_own_drops_only_and_cannot_write(province: Province) -> None:
    async def look() -> None:
        async with Sftp(province.connections()["trading_210203"]) as client:
            names = await client.listdir("/")
            assert set(names) - {".", ".."} == {"outbox"}
            assert not await client.exists("/../210303")
            assert not await client.exists("/../../province.json")
            for action in (
                client.remove("/outbox/BIDDER_20240813.csv"),
                client.mkdir("/outbox/new"),
                client.put(__file__, "/outbox/new.csv"),
                client.rename("/outbox/BIDDER_20240813.csv", "/outbox/x"),
            ):
                with pytest.raises(asyncssh.SFTPError):
                    await action

    asyncio.run(look())


def test_a_wrong_sftp_password_is_refused(province: Province) -> None:
    parts = urlsplit(province.connections()["trading_210203"])

    async def enter() -> None:
        async with asyncssh.connect(
            "127.0.0.1",
            parts.port or 0,
            username=parts.username or "",
            password="wrong",
            known_hosts=None,
            client_keys=None,
        ):
            pass

    with pytest.raises(asyncssh.PermissionDenied):
        asyncio.run(enter())


@pytest.fixture
def api(province: Province) -> Api:
    found = Api(province)
    assert found.token().status_code == 200
    return found


def test_pages_follow_each_other_in_the_order_of_cursor_and_key(api: Api) -> None:
    rows = api.all("BIDDER", limit=37)
    order = [(r["DATA_TIMESTAMP"], r["BID_SECTION_CODE"] or "", r["BIDDER_ORG_CODE"] or "") for r in rows]
    assert order == sorted(order)
    assert len(rows) > 100


def test_from_is_exclusive_and_to_inclusive_and_to_is_the_clock_by_default(api: Api) -> None:
    everything = api.all("BID_SECTION", to="20240813235959")
    stamps = sorted(str(row["DATA_TIMESTAMP"]) for row in everything)
    low, high = stamps[3], stamps[-4]
    page = api.get(f"{api.table('BID_SECTION')}?from={low}&to={high}&limit=5000").json()
    assert page["total"] == sum(low < stamp <= high for stamp in stamps) == len(page["rows"])
    page = api.get(f"{api.table('BID_SECTION')}?limit=1").json()
    assert page["clock"] == (NIGHTS[-1] + timedelta(days=1)).strftime("%Y%m%d010000")
    assert dict(parse_qsl(urlsplit(page["next"]).query))["to"] == page["clock"]


@pytest.mark.usefixtures("sights")
def test_a_request_that_is_not_signed_right_is_refused(api: Api) -> None:
    link = f"{api.table('BID_SECTION')}?limit=1"
    assert api.get(link).status_code == 200
    old = str(int(time.time()) - 3600)
    cases = {
        "bad_signature": api.get(link, **{"X-Signature": api.sign("GET", link + "0", "1", "2")}),
        "invalid_token": api.get(link, Authorization="Bearer nothing"),
        "stale_timestamp": api.get(
            link, **{"X-Timestamp": old, "X-Nonce": "n1", "X-Signature": api.sign("GET", link, old, "n1")}
        ),
    }
    now = str(int(time.time()))
    again = {"X-Timestamp": now, "X-Nonce": "n2", "X-Signature": api.sign("GET", link, now, "n2")}
    assert api.get(link, **again).status_code == 200
    cases["repeated_nonce"] = api.get(link, **again)
    for error, answer in cases.items():
        assert (answer.status_code, answer.json()["error"]) == (401, error)
    assert api.token(signature="0" * 64).json()["error"] == "bad_signature"
    assert api.token(client_id="somebody").json()["error"] == "unknown_client"


def test_an_old_token_is_refused(province: Province, api: Api) -> None:
    province.set_token_seconds(1)
    try:
        assert api.token().json()["expires_in"] == 1
        link = f"{api.table('BID_SECTION')}?limit=1"
        assert api.get(link).status_code == 200
        time.sleep(1.2)
        answer = api.get(link)
        assert (answer.status_code, answer.json()["error"]) == (401, "token_expired")
    finally:
        province.set_token_seconds(300)


@pytest.mark.parametrize(
    ("query", "error"),
    [("limit=0", "bad_limit"), ("limit=x", "bad_limit"), ("limit=5001", "bad_limit"), ("after=abc", "bad_after")],
)
def test_a_senseless_query_is_refused(api: Api, query: str, error: str) -> None:
    answer = api.get(f"{api.table('BID_SECTION')}?{query}")
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_unknown_tables_and_cities_are_not_found(api: Api) -> None:
    assert api.get(api.table("NOTHING")).status_code == 404
    api.path = "/city/210100"
    assert api.get(api.table("BIDDER")).status_code == 404


def test_the_api_misbehaves_when_told_and_as_often_as_told(province: Province, api: Api) -> None:
    link = f"{api.table('BIDDER')}?limit=10"
    right = api.get(link).json()
    try:
        province.set_fault("210200", "html_page", times=1)
        assert api.get(link).headers["content-type"].startswith("text/html")
        assert api.get(link).json() == right
        province.set_fault("210200", "missing_next")
        assert "next" not in api.get(link).json()
        province.clear_faults("210200")
        province.set_fault("210200", "wrong_total", times=1)
        assert api.get(link).json()["total"] == right["total"] + 1
        province.clear_faults("210200")
        province.set_fault("210200", "rate_limit", times=1)
        answer = api.get(link)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        province.set_fault("210200", "token_expired", times=1)
        assert api.get(link).json()["error"] == "token_expired"
    finally:
        province.clear_faults("210200")
    assert api.get(link).json() == right


def test_a_node_that_is_down_refuses_and_comes_back(province: Province, api: Api) -> None:
    uri = province.connections()["trading_210102"]
    with psycopg.connect(uri) as connection:
        for code in ("210102", "210200", "210203"):
            province.node_down(code)
        try:
            with pytest.raises(psycopg.Error):
                connection.execute("select 1")
            for system in ("trading", "supervision"):
                with pytest.raises(psycopg.OperationalError):
                    psycopg.connect(province.connections()[f"{system}_210102"])
            assert api.get(f"{api.table('BIDDER')}?limit=1").status_code == 503
            with pytest.raises(asyncssh.PermissionDenied):
                asyncio.run(names_in(province.connections()["trading_210203"]))
        finally:
            for code in ("210102", "210200", "210203"):
                province.node_up(code)
    with psycopg.connect(uri) as connection:
        assert connection.execute("select count(*) from bid_section").fetchone()
    assert api.get(f"{api.table('BIDDER')}?limit=1").status_code == 200
    assert "BIDDER_20240813.csv" in asyncio.run(names_in(province.connections()["trading_210203"]))


def test_a_served_province_is_not_served_twice_and_a_busy_port_is_named(
    province: Province, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--state", str(province.state)]) == 1
    assert "is served already by process" in capfd.readouterr().err
    port = urlsplit(province.connections()["trading_210200"]).port or 0
    other = Province(tmp_path / "other", profile="tiny").generate()
    with pytest.raises(ProvinceError, match=f"port {port} for api is in use"):
        other.start(Ports(api=port))
    assert other.state.joinpath("province.json").exists()


def test_the_sources_serve_the_same_after_a_restart_and_catch_up_what_they_missed(tmp_path: Path) -> None:
    province = Province(tmp_path / "state", profile="tiny", seed=11)
    try:
        province.start()
        first = province.connections()
        province.stop()
        with pytest.raises(ProvinceError, match="is not served"):
            province.connections()
        night = province.advance()
        province.start()
        assert {name: urlsplit(uri).password for name, uri in province.connections().items()} == {
            name: urlsplit(uri).password for name, uri in first.items()
        }
        with psycopg.connect(province.connections()["trading_210000"]) as connection:
            clock = connection.execute("select exchange_clock()").fetchone()
        assert clock == ((night + timedelta(days=1)).strftime("%Y%m%d010000"),)
        assert recount(everything(province, "trading", SOURCES), night) == told(province.truth())
        _kill_the_server_and_a_half_done_advance(province)
        assert recount(everything(province, "trading", SOURCES), province.night) == told(province.truth())
        assert (province.state / "connections.json").stat().st_mode & 0o777 == 0o600
    finally:
        province.destroy()


def _kill_the_server_and_a_half_done_advance(province: Province) -> None:
    """kill -9 of the servers while the next night stands in the databases, but not yet in the books."""
    night = prepare_night(province.state).night
    for system, fleet in serving.fleets_of(province.state).items():
        books = province.books[system.name]
        frontdb.apply_night(frontdb.cluster(province.state).start(), books, fleet, number_of(night))
    os.kill(serving.served_by(province.state) or 0, signal.SIGKILL)
    assert province.night < night
    province.start()
    assert province.advance() == night


# --------------------------------------------------------------------------------------------------------- counting


def told(truth: pl.DataFrame) -> dict[tuple[str, str, str], tuple[object, ...]]:
    """The simulator's truth of trading in the form of :func:`recount`."""
    columns = ("live_keys", "deleted_keys", "amount_yuan", "held_keys", "held_amount_yuan")
    return {
        (row["dataset"], row["node_code"], row["type_code"]): tuple(row[column] for column in columns)
        for row in truth.filter(pl.col("system") == "trading").to_dicts()
    }


def recount(rows: dict[tuple[str, str], list[Row]], night: date) -> dict[tuple[str, str, str], tuple[object, ...]]:
    """(dataset, node, type) -> live keys, deleted keys, yuan, held keys, held yuan."""
    zero = Decimal("0.00")
    found: dict[tuple[str, str, str], list[object]] = {}
    for (dataset, node), present in rows.items():
        _, key, price, _ = TABLES[dataset]
        latest: dict[tuple[str | None, ...], Row] = {}
        for row in present:
            if fault(dataset, node, row, night):
                continue
            name = tuple(row[column] for column in key)
            if name not in latest or str(row["DATA_TIMESTAMP"]) >= str(latest[name]["DATA_TIMESTAMP"]):
                latest[name] = row
        for row in latest.values():
            entry = found.setdefault((dataset, node, type_of(row, node)), [0, 0, zero, 0, zero])
            if row["IS_DELETE"] in ("1", "T"):
                entry[1] += 1
                continue
            entry[0] += 1
            amount = yuan(row, price)
            if amount is not None and amount > 3_000_000_000:
                entry[3] += 1
                entry[4] += amount
            elif amount is not None:
                entry[2] += amount
    return {key: tuple(entry) for key, entry in found.items()}


def fault(dataset: str, node: str, row: Row, night: date) -> bool:
    """Whether a row breaks the contract."""
    _, key, price, event = TABLES[dataset]
    if any(row[column] is None for column in (*key, "TENDER_PROJECT_CODE", "DATA_TIMESTAMP", "IS_DELETE")):
        return True
    if (
        str(row["TENDER_PROJECT_CODE"])[1:7] != node
        or str(row["DATA_TIMESTAMP"]) > f"{night + timedelta(days=1):%Y%m%d}03"
    ):
        return True
    try:
        datetime.strptime(str(row[event]), "%Y%m%d" if len(str(row[event])) == 8 else "%Y%m%d%H%M%S")  # noqa: DTZ007
        yuan(row, price)
    except (ValueError, InvalidOperation):
        return True
    return False


def yuan(row: Row, price: str | None) -> Decimal | None:
    if price is None or row[price] is None:
        return None
    amount = Decimal(str(row[price])) * (10_000 if row["PRICE_UNIT"] == "1" else 1)
    return amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def type_of(row: Row, node: str) -> str:
    code = str(row.get("UNIFIED_DEAL_CODE") or row.get("UNIFIED_DEAL_CODES"))
    source, day = code[:3], code[23:31]
    if CITY[node] == "210200" and source == "E09":
        return "0506"
    if CITY[node] == "210300" and source == "A06":
        return "0105" if day < "20230101" else "0106"
    if source == "Z99":
        return "unknown"
    return f"{ord(source[0]) - ord('A') + 1:02d}{source[1:]}"
