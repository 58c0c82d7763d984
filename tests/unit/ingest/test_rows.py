"""Landed rows: tokens in place of persons, digests that a key rotation does not change."""

import hashlib
import hmac
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from tests.support.ingest import NODE, bid, work_order

from yingshang.contracts import Contract, load_contracts
from yingshang.ingest.checks import RowChecks
from yingshang.ingest.conform import conform
from yingshang.ingest.rows import landed_rows, landing_schema, to_arrow
from yingshang.ingest.tokens import token
from yingshang.secrets import KeyRing

RING = KeyRing("k1", {"k1": bytes(range(32))})
OTHER = KeyRing("k2", {"k2": bytes(reversed(range(32)))})
CONTRACT = load_contracts()["trading.bid"]


def landed(*rows: dict[str, Any], ring: KeyRing = RING, contract: Contract = CONTRACT) -> pl.DataFrame:
    names = list(rows[0])
    batch = pa.RecordBatch.from_pydict({name: pa.array([row[name] for row in rows], pa.string()) for name in names})
    frame = conform(batch, contract).with_row_index("_row", offset=1).with_columns(pl.col("_row").cast(pl.Int64))
    return landed_rows(RowChecks(contract, NODE, "20240814000000", is_text=True).part(frame).good, contract, 7, ring)


@pytest.mark.parametrize("key", [b"k", bytes(range(64)), bytes(range(100))])
@pytest.mark.parametrize("value", ["21010119700101001X", "张三", ""])
def test_a_token_is_the_hmac_of_the_value(key: bytes, value: str) -> None:
    made = pl.DataFrame({"v": [value, None]}).select(token(pl.col("v"), KeyRing("k1", {"k1": key}), "person_name"))
    assert made["literal"].to_list() == [f"k1:{hmac.new(key, value.encode(), hashlib.sha256).hexdigest()}", None]


def test_one_person_has_one_token() -> None:
    values = pl.DataFrame({"v": ["21010119700101001x", " 21010119700101001X "]})
    assert values.select(token(pl.col("v"), RING, "person_id")).n_unique() == 1


def test_no_direct_identifier_is_landed() -> None:
    person = "210101197001010011"
    frame = landed(bid(1, PM_CODE=person), bid(2, PM_CODE=None))
    assert person not in str(frame.to_dicts())
    assert frame["pm_code"][0] == f"k1:{hmac.new(RING.active_key, person.encode(), hashlib.sha256).hexdigest()}"
    assert frame["pm_code"][1] is None


def test_a_key_rotation_changes_no_digest() -> None:
    one, other = landed(bid(1)), landed(bid(1), ring=OTHER)
    assert one["pm_code"][0] != other["pm_code"][0]
    assert one["_digest"].to_list() == other["_digest"].to_list()


def test_the_digest_is_of_the_canonical_text() -> None:
    same = landed(bid(1, BID_PRICE="100.25"), bid(1, BID_PRICE=" 100.250 "), bid(1, BID_PRICE="1.0025E2"))
    assert same["_digest"].n_unique() == 1
    assert {len(value) for value in same["_digest"]} == {16}


def test_the_digest_tells_rows_apart() -> None:
    rows = [
        bid(1),
        bid(1, BID_PRICE=None),
        bid(1, BIDDER_NAME=None),
        bid(1, stamp="20240813100001"),
        bid(1, IS_DELETE="1"),
        bid(1, BIDDER_NAME="甲", BIDDER_ROLE="乙"),
        bid(1, BIDDER_NAME="甲乙", BIDDER_ROLE=None),
    ]
    names = list(dict.fromkeys(name for row in rows for name in row))
    frame = landed(*({name: row.get(name) for name in names} for row in rows))
    assert frame["_digest"].n_unique() == len(rows)


def test_the_digest_does_not_change_between_versions() -> None:
    """Digests lie in raw for years: a value that was written down once must come out again."""
    assert landed(bid(1))["_digest"][0].hex() == "0bba1e36cab329b3c1ceabaf33e15d21"


def test_of_a_citizens_words_only_their_number_lands() -> None:
    contract = load_contracts()["hotline.work_order"]
    rows = [work_order(1, CONTENT="楼上漏水"), work_order(1, CONTENT="楼下漏水"), work_order(1, CONTENT="漏水")]
    frame = landed(*rows, contract=contract)
    assert frame["content_length"].to_list() == [4, 4, 2]
    assert frame["_digest"].n_unique() == 2
    assert "漏水" not in str(frame.to_dicts())
    [batch] = to_arrow(frame, landing_schema(contract))
    assert batch.schema.field("content_length").type == pa.int64()
    other = landed(*rows, contract=contract, ring=OTHER)
    assert other["_digest"].to_list() == frame["_digest"].to_list()
    assert set(other["caller_phone"]).isdisjoint(frame["caller_phone"])


def test_landed_rows_have_the_landing_schema() -> None:
    schema = landing_schema(CONTRACT)
    batches = to_arrow(landed(bid(1), bid(2)), schema)
    assert sum(batch.num_rows for batch in batches) == 2
    assert all(batch.schema.equals(schema) for batch in batches)
    assert schema.names == [*CONTRACT.raw_names, "_batch_id", "_row", "_digest"]
