"""The JSON API connector against a real server that behaves, and misbehaves, as cities do."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.http_city import SECRET, City, Page, served

from yingshang.connectors.base import Request
from yingshang.connectors.http import HttpSource
from yingshang.errors import ContractError, CredentialError, SourceInconsistent, SourceUnavailable, YingshangError
from yingshang.secrets import Connection

REQUEST = Request("BID_SECTION", ("CODE", "PRICE", "DATA_TIMESTAMP"), ("CODE",), "DATA_TIMESTAMP")


@pytest.fixture
def city() -> City:
    return City()


@pytest.fixture
def port(city: City) -> Iterator[int]:
    with served(city) as port:
        yield port


def source_at(port: int, secret: str = SECRET, **options: Any) -> HttpSource:
    uri = f"http://client:{secret}@127.0.0.1:{port}/city/1"
    connection = Connection("trading_210200", uri, "http", "127.0.0.1", port, "client", secret, "/city/1", {})
    return HttpSource(connection, **{"page_rows": 10, "retry_seconds": 10.0, **options})


def read(source: HttpSource, request: Request = REQUEST) -> list[dict[str, Any]]:
    with source, source.read(request) as delivery:
        rows = [row for batch in delivery.batches for row in batch.to_pylist()]
        assert len(rows) == delivery.announced
        return rows


def test_all_pages_are_read_with_numbers_as_they_are_written(city: City, port: int) -> None:
    rows = read(source_at(port))
    assert [row["CODE"] for row in rows] == [f"E{n}" for n in range(25)]
    assert rows[3] == {"CODE": "E3", "PRICE": "3.5", "DATA_TIMESTAMP": "20240813000003"}


def test_what_claims_to_lie_after_the_clock_is_read_too(city: City, port: int) -> None:
    city.rows.append({"CODE": "F", "PRICE": None, "DATA_TIMESTAMP": "20991231235959"})
    assert len(read(source_at(port))) == 26


def test_a_range_is_asked_for_as_it_is(city: City, port: int) -> None:
    bounded = Request(**{**vars(REQUEST), "low": "20240813000003", "high": "20240813000007"})
    assert [row["CODE"] for row in read(source_at(port), bounded)] == ["E4", "E5", "E6", "E7"]


def test_a_token_that_expires_between_pages_is_renewed_and_the_reading_goes_on(city: City, port: int) -> None:
    city.token_pages = 1
    assert len(read(source_at(port))) == 25
    assert city.tokens == 4


def test_rate_limits_and_server_errors_are_waited_out(city: City, port: int) -> None:
    def spoil(number: int, page: Page) -> tuple[int, dict[str, str], bytes] | None:
        return {2: (429, {"Retry-After": "1"}, b""), 3: (503, {}, b"")}.get(number)

    city.spoil = spoil
    started = time.monotonic()
    assert len(read(source_at(port))) == 25
    assert time.monotonic() - started >= 1


def without_next(page: Page) -> Page:
    return {key: value for key, value in page.items() if key != "next"}


FAULTS: dict[str, tuple[Callable[[int, Page], Page | bytes | None], str]] = {
    "html": (lambda number, page: b"<html>maintenance</html>" if number == 3 else None, "a page is not JSON"),
    "not an object": (lambda number, page: b"[]", "is JSON, but not an object"),
    "nan": (lambda number, page: b'{"total": NaN}', "a page is not JSON"),
    "no next": (lambda number, page: without_next(page) if number == 3 else None, "has no key `next`"),
    "no next on the last page": (lambda number, page: without_next(page), "has no key `next`"),
    "next of nothing": (lambda number, page: page | {"next": ""} if number == 3 else None, "leads nowhere"),
    "next to another host": (lambda number, page: page | {"next": "http://evil.example/api/v1/X"}, "another host"),
    "a loop": (lambda number, page: page | {"next": "/api/v1/BID_SECTION?from=0&to=9&limit=10&after=0"}, "page"),
    "too few rows": (lambda number, page: page | {"total": 26} if page["total"] else None, "26 rows and sent 25"),
    "too many rows": (lambda number, page: page | {"total": 24} if page["total"] else None, "announced 24 rows"),
    "a total that changes": (lambda number, page: page | {"total": 26} if number == 4 else None, "total changed"),
    "no total": (lambda number, page: page | {"total": None}, "tells no total"),
    "no rows": (lambda number, page: page | {"rows": None}, "no list of rows"),
    "no clock": (lambda number, page: page | {"clock": "yesterday"}, "is no time"),
    "another table": (lambda number, page: page | {"table": "BIDDER"}, "another table"),
    "404": (lambda number, page: b"404", "does not provide"),
    "403": (lambda number, page: b"403", "does not let us read"),
    "418": (lambda number, page: b"418", "answers 418"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_page_that_is_wrong_is_an_error_and_never_no_rows(fault: str, city: City, port: int) -> None:
    change, message = FAULTS[fault]

    def spoil(number: int, page: Page) -> tuple[int, dict[str, str], bytes] | None:
        made = change(number, page)
        if isinstance(made, bytes):
            return (int(made), {}, b"") if made.isdigit() else (200, {}, made)
        return None if made is None else (200, {}, json.dumps(made).encode())

    city.spoil = spoil
    expected: type[YingshangError] = {"404": ContractError, "403": CredentialError}.get(fault, SourceInconsistent)
    with pytest.raises(expected, match=message) as raised:
        read(source_at(port))
    assert "trading_210200" in str(raised.value)


def test_a_page_sent_twice_in_place_of_another_is_found_though_the_total_fits(city: City, port: int) -> None:
    first: list[Any] = []

    def spoil(number: int, page: Page) -> tuple[int, dict[str, str], bytes] | None:
        first.extend(page["rows"] if number == 1 else [])
        return (200, {}, json.dumps(page | {"rows": first}).encode()) if number == 3 else None

    city.spoil = spoil
    with pytest.raises(SourceInconsistent, match="second time"):
        read(source_at(port))


def test_a_wrong_secret_is_told_as_such(city: City, port: int) -> None:
    with pytest.raises(CredentialError, match="refuses the client id or its secret"):
        read(source_at(port, secret="wrong"))


def test_a_fresh_token_that_is_refused_is_told_as_such(city: City, port: int) -> None:
    city.token_pages = 0
    with pytest.raises(CredentialError, match="refuses a fresh token"):
        read(source_at(port))


def test_a_server_that_stays_down_is_unavailable(city: City, port: int) -> None:
    city.spoil = lambda number, page: (500, {}, b"")
    with pytest.raises(SourceUnavailable, match="answers 500"):
        read(source_at(port, retry_seconds=1.0))


def test_nobody_there_is_unavailable() -> None:
    with pytest.raises(SourceUnavailable, match="ConnectError"):
        read(source_at(1, retry_seconds=0.5))


def test_a_server_that_does_not_answer_in_time_is_unavailable(city: City, port: int) -> None:
    def spoil(number: int, page: Page) -> None:
        time.sleep(0.6)

    city.spoil = spoil
    with pytest.raises(SourceUnavailable, match="ReadTimeout"):
        read(source_at(port, read_seconds=0.2, retry_seconds=0.5))


def test_reading_has_a_limit_in_all(city: City, port: int) -> None:
    def spoil(number: int, page: Page) -> None:
        time.sleep(0.2)

    city.spoil = spoil
    with pytest.raises(SourceUnavailable, match="took longer than"):
        read(source_at(port, total_seconds=0.3))
