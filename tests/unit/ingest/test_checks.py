"""Row checks: every reason of every bad row, and no good row refused."""

import datetime as dt
import re
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.ingest import NODE, bid, dataset_name, evaluation, event, lot, outcome, work_order

from yingshang.connectors.base import MALFORMED
from yingshang.contracts import load_contracts
from yingshang.ingest.checks import TIME_PATTERNS, RowChecks, Verdict
from yingshang.ingest.conform import conform

CLOCK = "20240814000500"
CONTRACTS = load_contracts()


def judge(*rows: dict[str, Any], dataset: str = "lot", is_text: bool = True, node: str = NODE) -> Verdict:
    contract = CONTRACTS[dataset_name(dataset)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    batch = pa.RecordBatch.from_pydict({name: pa.array([row.get(name) for row in rows], pa.string()) for name in names})
    return RowChecks(contract, node, CLOCK, is_text=is_text).part(conform(batch, contract))


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({"BID_SECTION_CODE": None}, ["required:BID_SECTION_CODE"]),
        ({"BID_SECTION_CODE": ""}, ["required:BID_SECTION_CODE"]),
        ({"CONTRACT_RECKON_PRICE": "面议"}, ["type:CONTRACT_RECKON_PRICE"]),
        ({"CONTRACT_RECKON_PRICE": "NaN"}, ["type:CONTRACT_RECKON_PRICE"]),
        ({"CONTRACT_RECKON_PRICE": "1.2345678"}, ["type:CONTRACT_RECKON_PRICE"]),
        ({"CONTRACT_RECKON_PRICE": "-1"}, ["minimum:CONTRACT_RECKON_PRICE"]),
        ({"CREATE_TIME": "20240230"}, ["time:CREATE_TIME"]),
        ({"CREATE_TIME": "20230229101010"}, ["time:CREATE_TIME"]),
        ({"CREATE_TIME": "20240813240000"}, ["time:CREATE_TIME"]),
        ({"CREATE_TIME": "2024-08-13"}, ["time:CREATE_TIME"]),
        ({"CREATE_TIME": "2024081310"}, ["time:CREATE_TIME"]),
        ({"DATA_TIMESTAMP": "20240813"}, ["time:DATA_TIMESTAMP"]),
        ({"DATA_TIMESTAMP": "20991231235959"}, ["cursor_in_future"]),
        ({"DATA_TIMESTAMP": "20240814020501"}, ["cursor_in_future"]),
        ({"PRICE_UNIT": "2"}, ["allowed:PRICE_UNIT"]),
        ({"REGION_CODE": "21010"}, ["pattern:REGION_CODE"]),
        ({"REGION_CODE": "210100\n"}, ["max_length:REGION_CODE", "pattern:REGION_CODE"]),
        ({"BID_SECTION_NAME": "长" * 501}, ["max_length:BID_SECTION_NAME"]),
        ({"BID_SECTION_NAME": "坏\ufffd字"}, ["unreadable:BID_SECTION_NAME"]),
        ({"BID_SECTION_NAME": "a\x00b"}, ["unreadable:BID_SECTION_NAME"]),
        ({"TENDER_PROJECT_CODE": "E2102000000000000001"}, ["region_not_of_node"]),
        ({"CREATE_TIME": "29990101"}, ["not_after_clock:CREATE_TIME"]),
        ({"CREATE_TIME": "20240815000501"}, ["not_after_clock:CREATE_TIME"]),
        ({"PRICE_UNIT": "2", "CREATE_TIME": "20240230"}, ["allowed:PRICE_UNIT", "time:CREATE_TIME"]),
    ],
)
def test_a_row_that_breaks_the_contract_is_named_with_every_reason(change: dict[str, Any], reasons: list[str]) -> None:
    verdict = judge(lot(1), lot(2, **change), lot(3))
    assert verdict.reasons == [reasons]
    assert verdict.good.height == 2
    assert verdict.bad["BID_SECTION_NAME"].len() == 1


@pytest.mark.parametrize(
    "change",
    [
        {"CONTRACT_RECKON_PRICE": "1.25E7"},
        {"CONTRACT_RECKON_PRICE": " 12.50 "},
        {"CONTRACT_RECKON_PRICE": "12.1234560000"},
        {"CONTRACT_RECKON_PRICE": None},
        {"CREATE_TIME": "20240229235959"},
        {"DATA_TIMESTAMP": "20240814020500"},
        {"CURRENCY_CODE": "USD"},
        {"BID_SECTION_NAME": "长" * 500},
        {"IS_DELETE": "T"},
    ],
)
def test_a_row_that_keeps_the_contract_is_let_through(change: dict[str, Any]) -> None:
    verdict = judge(lot(1, **change))
    assert verdict.reasons == []
    assert verdict.good.height == 1


def test_amounts_are_exact() -> None:
    verdict = judge(*(lot(n, CONTRACT_RECKON_PRICE=text) for n, text in enumerate(["1.25E7", "0.1", "99999999999999"])))
    assert [str(value) for value in verdict.good["__typed__CONTRACT_RECKON_PRICE"]] == [
        "12500000.000000",
        "0.100000",
        "99999999999999.000000",
    ]


def test_values_joined_in_one_field_are_checked_one_by_one() -> None:
    good, bad = lot(1)["BID_SECTION_CODE"], "nonsense"
    notice = {
        "TENDER_PROJECT_CODE": lot(1)["TENDER_PROJECT_CODE"],
        "URL": "https://example.cn/1",
        "NOTICE_NATURE": "1",
        "BULLETIN_TYPE": "1",
        "DATA_TIMESTAMP": "20240813100000",
        "IS_DELETE": "0",
    }
    verdict = judge(
        notice | {"BID_SECTION_CODES": f"{good};{good}"},
        notice | {"BID_SECTION_CODES": f"{good};"},
        notice | {"BID_SECTION_CODES": f"{good};{bad}"},
        notice | {"BID_SECTION_CODES": None},
        dataset="notice",
    )
    assert verdict.reasons == [["pattern:BID_SECTION_CODES", "region_not_of_node"]]
    assert verdict.good.height == 3


def test_a_malformed_line_has_that_reason_only() -> None:
    verdict = judge(lot(1) | {MALFORMED: None}, {MALFORMED: "a,b"})
    assert verdict.reasons == [["malformed_row"]]
    assert verdict.good.height == 1


def test_a_cursor_in_the_future_or_that_is_no_time_is_not_the_newest() -> None:
    verdict = judge(
        lot(1, stamp="20240813100000"),
        lot(2, stamp="20991231235959"),
        lot(3, stamp="zzz"),
        lot(4, stamp="20240813110000", CREATE_TIME="bad"),
    )
    assert verdict.newest_cursor == "20240813110000"


def test_a_source_may_say_numbers_and_times_in_types_of_its_own() -> None:
    contract = CONTRACTS["trading.lot"]
    frame = pl.DataFrame([lot(1)]).with_columns(
        CONTRACT_RECKON_PRICE=pl.lit(12.5), CREATE_TIME=pl.datetime(2024, 8, 13, 9, 30), PRICE_UNIT=pl.lit(1)
    )
    batch = frame.to_arrow(compat_level=pl.CompatLevel.oldest()).to_batches()[0]
    verdict = RowChecks(contract, NODE, CLOCK, is_text=False).part(conform(batch, contract))
    assert verdict.reasons == []
    row = verdict.good.row(0, named=True)
    assert (row["CREATE_TIME"], row["PRICE_UNIT"]) == ("20240813093000", "1")
    assert str(row["__typed__CONTRACT_RECKON_PRICE"]) == "12.500000"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(st.sampled_from(sorted(lot(1))), st.none() | st.text(max_size=9)), max_size=8))
def test_no_text_whatsoever_breaks_the_checks_and_no_row_is_lost(changes: list[dict[str, str | None]]) -> None:
    rows = [lot(number, **change) for number, change in enumerate(changes)]
    if not rows:
        return
    verdict = judge(*rows)
    assert verdict.good.height + verdict.bad.height == len(rows)
    assert len(verdict.reasons) == verdict.bad.height
    assert all(verdict.reasons)


OTHER_ROWS = {
    "sunshine.evaluation": evaluation(1),
    "supervision.issue_outcome": outcome(1),
    "hotline.work_order": work_order(1),
}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(OTHER_ROWS)), st.data())
def test_no_text_whatsoever_breaks_the_rules_of_the_other_systems(dataset: str, data: st.DataObject) -> None:
    names = st.sampled_from(sorted(OTHER_ROWS[dataset]))
    changes = data.draw(st.lists(st.dictionaries(names, st.none() | st.text(max_size=9)), min_size=1, max_size=6))
    rows = [OTHER_ROWS[dataset] | change for change in changes]
    verdict = judge(*rows, dataset=dataset)
    assert verdict.good.height + verdict.bad.height == len(rows)
    assert all(verdict.reasons)
    assert len(verdict.reasons) == verdict.bad.height


def test_a_bid_keeps_its_contract() -> None:
    assert judge(bid(1), bid(2), dataset="bid").reasons == []


def test_a_notice_that_names_a_lot_of_another_node_among_its_own_is_quarantined() -> None:
    own = lot(1)["BID_SECTION_CODE"]
    foreign = own[:1] + "210200" + own[7:]
    notice = {
        "TENDER_PROJECT_CODE": lot(1)["TENDER_PROJECT_CODE"],
        "URL": "https://example.cn/1",
        "DATA_TIMESTAMP": "20240813100000",
        "IS_DELETE": "0",
    }
    verdict = judge(
        notice | {"BID_SECTION_CODES": f"{own};{own}"},
        notice | {"BID_SECTION_CODES": f"{own};{foreign}"},
        dataset="notice",
    )
    assert verdict.reasons == [["region_not_of_node"]]
    assert verdict.good.height == 1


MONTH = {"dataset": "sunshine.evaluation"}
EVENT = {"dataset": "supervision.issue_event"}
OUTCOME = {"dataset": "supervision.issue_outcome"}
ORDER = {"dataset": "hotline.work_order"}
FOREIGN = ["region_not_of_node"]


@pytest.mark.parametrize(
    ("row", "of", "reasons"),
    [
        (evaluation(1, STAT_MONTH="202408"), MONTH, []),
        (evaluation(1, STAT_MONTH="202409"), MONTH, ["not_after_clock:STAT_MONTH"]),
        (evaluation(1, STAT_MONTH="209901"), MONTH, ["not_after_clock:STAT_MONTH"]),
        (evaluation(1, STAT_MONTH="202413"), MONTH, ["time:STAT_MONTH", "not_after_clock:STAT_MONTH"]),
        (evaluation(1, STAT_MONTH="202300"), MONTH, ["time:STAT_MONTH"]),
        (evaluation(1, STAT_MONTH="20230"), MONTH, ["time:STAT_MONTH"]),
        (evaluation(1, STAT_MONTH="20230401"), MONTH, ["time:STAT_MONTH"]),
        (evaluation(1, STAT_MONTH=None), MONTH, ["required:STAT_MONTH"]),
        (evaluation(1, SATISFIED="100"), MONTH, []),
        (evaluation(1, SATISFIED="101"), MONTH, ["row_rule:SATISFIED<=PARTICIPANTS"]),
        (evaluation(1, SATISFIED="1000"), MONTH, ["row_rule:SATISFIED<=PARTICIPANTS"]),
        (evaluation(1, PARTICIPANTS="9"), MONTH, ["row_rule:SATISFIED<=PARTICIPANTS"]),
        (evaluation(1, PARTICIPANTS=None), MONTH, []),
        (evaluation(1, PARTICIPANTS="many"), MONTH, ["type:PARTICIPANTS"]),
        (evaluation(1, SATISFIED="-1"), MONTH, ["minimum:SATISFIED"]),
        (evaluation(1, VILLAGE_CODE="210102001001"), MONTH, []),
        (evaluation(1, VILLAGE_CODE="210103001001"), MONTH | {"node": "210000"}, []),
        (evaluation(1, VILLAGE_CODE="210203001001"), MONTH | {"node": "210100"}, FOREIGN),
        (evaluation(1, VILLAGE_CODE="220203001001"), MONTH | {"node": "210000"}, FOREIGN),
        (event(1), EVENT, []),
        (event(1, EVENT_TYPE="finished"), EVENT, ["allowed:EVENT_TYPE"]),
        (event(1, EVENT_TIME="20240230"), EVENT, ["time:EVENT_TIME"]),
        (event(1, NODE_CODE="210103"), EVENT, FOREIGN),
        (event(1) | {"EVENT_ID": "WT01210103000001-001"}, EVENT, FOREIGN),
        (event(1) | {"ISSUE_CODE": "WT01210103000001"}, EVENT, FOREIGN),
        (outcome(1), OUTCOME, []),
        (outcome(1, AMOUNT="-0.01"), OUTCOME, ["minimum:AMOUNT"]),
        (outcome(1, QUANTITY="-1"), OUTCOME, ["minimum:QUANTITY"]),
        (outcome(1, QUANTITY="1.5"), OUTCOME, ["type:QUANTITY"]),
        (outcome(1, OUTCOME_TYPE="promise"), OUTCOME, ["allowed:OUTCOME_TYPE"]),
        (outcome(1, RESPONSIBLE_KIND="4"), OUTCOME, ["allowed:RESPONSIBLE_KIND"]),
        (work_order(1), ORDER, []),
        (work_order(1, CLASS_CODE="9901", STATUS_NAME="挂起", CHANNEL_CODE="7"), ORDER, []),
        (work_order(1, CLASS_CODE="A1"), ORDER, ["pattern:CLASS_CODE"]),
        (work_order(1, CONTENT="长" * 20000), ORDER, []),
        (work_order(1, CONTENT="长" * 20001), ORDER, ["max_length:CONTENT"]),
        (work_order(1, node="210200"), ORDER, FOREIGN),
    ],
)
def test_the_rules_of_the_other_systems_name_the_columns(
    row: dict[str, Any], of: dict[str, Any], reasons: list[str]
) -> None:
    verdict = judge(row, **of)
    assert verdict.reasons == ([reasons] if reasons else [])


def test_a_citizens_words_end_where_their_length_is_known() -> None:
    said = "楼上漏水三天无人管"
    verdict = judge(
        work_order(1, CONTENT=said), work_order(2, CONTENT=""), work_order(3, CONTENT=said, CHANNEL_CODE="12345"),
        {MALFORMED: said}, dataset="hotline.work_order",
    )  # fmt: skip
    assert verdict.good["__typed__CONTENT"].to_list() == [9, None]
    assert verdict.bad["CONTENT"].to_list() == ["9", None]
    assert verdict.bad[MALFORMED].to_list() == [None, "9 characters"]
    assert said not in f"{verdict.good.to_dicts()} {verdict.bad.to_dicts()}"


def is_in_calendar(text: str) -> bool:
    try:
        dt.datetime.strptime(text, "%Y%m%d%H%M%S" if len(text) == 14 else "%Y%m%d")  # noqa: DTZ007
    except ValueError:
        return text == ""
    return True


years = st.integers(1, 9999) | st.sampled_from([1900, 2000, 2023, 2024, 2100, 400])


@given(years, st.integers(0, 13), st.integers(0, 32), st.none() | st.tuples(*[st.integers(0, 61)] * 3))
def test_the_pattern_of_times_knows_the_calendar(
    year: int, month: int, day: int, clock: tuple[int, int, int] | None
) -> None:
    text = f"{year:04d}{month:02d}{day:02d}" + "".join(f"{part:02d}" for part in clock or ())
    name = "yyyyMMdd" if clock is None else "yyyyMMddHHmmss"
    expected = is_in_calendar(text) and (clock is None or clock[2] < 60)
    assert bool(re.fullmatch(TIME_PATTERNS[name], text)) == expected
