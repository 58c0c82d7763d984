"""A lot's releases keep to OCDS, merge into one record, and say nothing that the marts do not say."""

import datetime as dt
from decimal import Decimal
from typing import Any

import ocdsmerge
import pytest
from tests.support.ocds import profile, release_errors, undefined_fields

from yingshang.export.releases import Names, releases

NAMES = Names("ocds-lnyshg", {"210100": "沈阳市", "210200": "大连市"})
BUYER, AGENCY, WINNER, LOSER = (f"9121010{n}MA0000000X" for n in range(4))
AT = dt.datetime(2024, 8, 1, 9, tzinfo=dt.timezone(dt.timedelta(hours=8)))


def event(dataset: str, stage: str, **values: Any) -> dict[str, Any]:
    return {
        "dataset": dataset, "key": f"https://ggzy.example.cn/{stage}", "stage": stage, "title": f"{stage}公告",
        "at": "2024-08-05T10:00:00+08:00", "organization": None, "yuan": None, "is_held": False,
        "cursor": "20240805120000", **values,
    }  # fmt: skip


def lot(**changes: Any) -> dict[str, Any]:
    """A lot that has gone all the way."""
    whole = {
        "industry_code": "02", "month": "2024-08", "lot_code": "A2101000000000001001", "project_code": "A210100000000",
        "deal_code": "B01-91210100MA0000000X-20240801-000001-1", "lot_name": "第1标段", "type_code": "0201",
        "type_cn": "货物采购", "notice_at": AT, "opening_at": AT + dt.timedelta(days=20), "terminated_at": None,
        "settled_at": AT + dt.timedelta(days=90), "reckon_price_yuan": Decimal("1234567.89"), "currency_code": "156",
        "is_held": False, "is_withdrawn": False, "lot_cursor": "20240801100000", "is_shared": False,
        "project_name": "2024年采购项目", "project_region_code": "210100", "tenderer_code": BUYER,
        "tenderer_name": "沈阳市教育局", "agency_code": AGENCY, "agency_name": "代理公司", "tender_mode": "1",
        "project_cursor": "20240731100000",
        "events": [
            event("notice", "notice"), event("notice", "clarification"), event("notice", "result"),
            event("notice", "contract"), event("notice", "performance"),
            event("result", "awarded", key=f"lot/{WINNER}", organization=WINNER, title="中标公司", yuan="1200000.00",
                  cursor="20240901120000"),
            event("performance", "settled", key="lot", yuan="1190000.00", cursor="20241201120000"),
        ],
        "bids": [
            {"organization": code, "name": name, "region_code": "210200", "cursor": "20240820120000"}
            for code, name in ((WINNER, "中标公司"), (LOSER, "另一公司"))
        ],
        "contracts": [
            {"organization": WINNER, "name": "中标公司", "buyer": BUYER, "buyer_name": "沈阳市教育局", "title": "合同",
             "yuan": "1200000.00", "is_held": False, "signed_at": "2024-09-10T00:00:00+08:00", "term": "365",
             "cursor": "20240911120000"}
        ],
    }  # fmt: skip
    return {**whole, **changes}


def made(**changes: Any) -> dict[str, dict[str, Any]]:
    found = releases(lot(**changes), NAMES)
    assert isinstance(found, list), found
    for one in found:
        assert release_errors(one) == []
    return {one["id"].split("-")[-2]: one for one in found}


def test_a_lot_that_went_all_the_way_has_four_releases_with_parties_amounts_and_times() -> None:
    found = made()
    assert list(found) == ["tender", "award", "contract", "implementation"]
    assert {one["ocid"] for one in found.values()} == {"ocds-lnyshg-B01-91210100MA0000000X-20240801-000001-1"}
    tender = found["tender"]
    assert tender["date"] == "2024-08-05T12:00:00+08:00", "the newest record that it speaks of"
    assert tender["buyer"] == {"id": f"CN-SAIC-{BUYER}", "name": "沈阳市教育局"}
    assert tender["tender"]["procuringEntity"]["id"] == f"CN-SAIC-{AGENCY}"
    assert tender["tender"]["value"] == {"amount": 1234567.89, "currency": "CNY"}
    assert tender["tender"]["mainProcurementCategory"] == "goods"
    assert [one["documentType"] for one in tender["tender"]["documents"]] == ["tenderNotice", "clarifications"]
    award = found["award"]
    assert award["tender"]["numberOfTenderers"] == 2
    assert award["awards"][0]["suppliers"] == [{"id": f"CN-SAIC-{WINNER}", "name": "中标公司"}]
    contract = found["contract"]["contracts"][0]
    assert contract["awardID"] == award["awards"][0]["id"]
    assert contract["dateSigned"] == "2024-09-10T00:00:00+08:00"
    assert contract["period"]["durationInDays"] == 365


def test_the_releases_merge_into_one_record_that_has_all_of_it() -> None:
    found = list(made().values())
    merged = ocdsmerge.Merger(profile()).create_compiled_release(found)
    assert merged["tag"] == ["compiled"]
    assert merged["date"] == "2024-12-01T12:00:00+08:00"
    assert merged["tender"]["status"] == "complete"
    assert merged["contracts"][0]["status"] == "terminated"
    assert merged["contracts"][0]["value"]["amount"] == 1200000
    roles = {one["id"].removeprefix("CN-SAIC-"): one["roles"] for one in merged["parties"]}
    assert roles == {
        BUYER: ["buyer"], AGENCY: ["procuringEntity"], WINNER: ["tenderer", "supplier"], LOSER: ["tenderer"],
    }  # fmt: skip
    dates = [one["date"] for one in found]
    assert dates == sorted(dates)
    assert len({one["id"] for one in found}) == 4


def test_an_amount_that_awaits_confirmation_and_a_rate_are_no_amount() -> None:
    events = [dict(one, yuan=None) if one["dataset"] == "result" else one for one in lot()["events"]]
    contracts = [dict(lot()["contracts"][0], yuan="3000000001.00", is_held=True)]
    found = made(reckon_price_yuan=Decimal("4e9"), is_held=True, events=events, contracts=contracts)
    amounts = [found["tender"]["tender"], found["award"]["awards"][0], found["contract"]["contracts"][0]]
    assert all("value" not in one for one in amounts)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "complete"),
        ({"events": [], "bids": None, "contracts": None}, "active"),
        ({"is_withdrawn": True}, "withdrawn"),
        ({"is_withdrawn": True, "terminated_at": AT}, "cancelled"),
    ],
)
def test_the_status_of_a_tender(changes: dict[str, Any], status: str) -> None:
    tender = made(**changes)["tender"]
    assert tender["tender"]["status"] == status
    assert tender["tag"] == (["tenderCancellation"] if status in ("withdrawn", "cancelled") else ["tender"])


def test_bidders_are_told_of_once_there_is_a_winner_and_not_before() -> None:
    found = made(events=[event("notice", "notice")], contracts=None)
    assert list(found) == ["tender"]
    assert LOSER not in str(found)


def test_a_contract_whose_award_never_came_has_one_that_says_no_more_than_the_supplier() -> None:
    found = made(events=[event("notice", "notice")])
    award = found["contract"]["awards"][0]
    assert award == {
        "id": f"A2101000000000001001-{WINNER}", "status": "active",
        "suppliers": [{"id": f"CN-SAIC-{WINNER}", "name": "中标公司"}],
    }  # fmt: skip
    assert found["contract"]["contracts"][0]["awardID"] == award["id"]


def test_a_lot_whose_project_never_came_has_the_buyer_of_its_contract() -> None:
    nothing = dict.fromkeys(("project_name", "tenderer_code", "tenderer_name", "agency_code", "agency_name",
                             "tender_mode", "project_cursor", "project_region_code"))  # fmt: skip
    found = made(**nothing)
    assert found["tender"]["buyer"]["id"] == f"CN-SAIC-{BUYER}"
    assert "procurementMethod" not in found["tender"]["tender"]


def test_a_code_that_is_no_credit_code_is_no_identifier() -> None:
    found = made(tenderer_code="1121000001")
    (party,) = (one for one in found["tender"]["parties"] if "buyer" in one["roles"])
    assert party["id"] == "1121000001"
    assert "identifier" not in party


@pytest.mark.parametrize(
    "changes",
    [{"deal_code": None}, {"deal_code": "A#1"}, {"is_shared": True}, {"currency_code": "840"}],
    ids=["none", "hash", "shared", "dollars"],
)
def test_a_lot_that_can_have_no_release_says_why(changes: dict[str, Any]) -> None:
    assert isinstance(releases(lot(**changes), NAMES), str)


def test_the_schemas_find_what_is_wrong_and_the_profile_is_part_of_the_standard() -> None:
    good = made()["award"]
    for broken in (
        {**good, "tag": []},
        {**good, "date": "2024-08-05 12:00"},
        {**good, "awards": [{"status": "active"}]},
        {key: value for key, value in good.items() if key != "initiationType"},
    ):
        assert release_errors(broken)
    assert undefined_fields() == []
