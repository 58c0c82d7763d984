"""Marts built night by night equal marts built from nothing, in every order of arrival (invariant I4)."""

import dataclasses
import datetime as dt
import random
from pathlib import Path
from typing import Any

import pytest
from tests.support.dbt_models import Models, copied_project
from tests.support.random_nights import night
from tests.support.raw_log import RawLog
from tests.support.trading_nights import CITY, COUNTY, OTHER_CITY, Trading
from tests.support.trading_raw import deal_code, lot_code, project_code

# --- told nights ------------------------------------------------------------------------------------------------------


def test_every_kind_of_change_reaches_the_incremental_build(raw_log: RawLog, models: Models) -> None:
    """Corrections, withdrawals, moves, late parents, superseded drops, opposite orders of load and admission."""
    p1, p2, p3, late = (project_code(CITY, n) for n in (1, 2, 3, 9))
    a, b, c, orphan = lot_code(p1, 1), lot_code(p1, 2), lot_code(p2, 1), lot_code(late, 1)
    code = deal_code("A01", "20240110", 1)

    def project(number: str, at: str, **more: Any) -> dict[str, Any]:
        return {"tender_project_code": number, "unified_deal_code": code, "data_timestamp": at, **more}

    def lot(number: str, at: str, **more: Any) -> dict[str, Any]:
        return {
            "bid_section_code": number, "tender_project_code": number[:20], "unified_deal_code": code,
            "region_code": CITY, "contract_reckon_price": 100, "price_unit": "0", "create_time": "20240110",
            "data_timestamp": at, **more,
        }  # fmt: skip

    def notice(url: str, lots: str, at: str, **more: Any) -> dict[str, Any]:
        return {
            "url": url, "tender_project_code": p1, "bid_section_codes": lots, "unified_deal_codes": code,
            "notice_nature": "1", "bulletin_type": "1", "notice_send_time": "20240111", "data_timestamp": at, **more,
        }  # fmt: skip

    def bid(number: str, bidder: str, at: str, **more: Any) -> dict[str, Any]:
        return {
            "bid_section_code": number, "bidder_org_code": bidder, "tender_project_code": number[:20],
            "unified_deal_code": code, "price_form_code": "1", "bid_price": 90, "price_unit": "1",
            "data_timestamp": at, **more,
        }  # fmt: skip

    # the first load: p3 comes in a batch of its own, which is withdrawn later; `late` has a lot and no project
    raw_log.admitted("trading.project", CITY, project(p1, "20240110120000"), project(p2, "20240110120000"))
    only_p3 = raw_log.admitted("trading.project", CITY, project(p3, "20240110120000"))
    raw_log.admitted(
        "trading.lot",
        CITY,
        *(lot(n, "20240110120000") for n in (a, b, c, orphan)),
        lot(lot_code(p3, 1), "20240110120000"),
    )
    raw_log.admitted(
        "trading.notice",
        CITY,
        notice("u1", f"{a};{b}", "20240111120000"),
        notice("u2", c, "20240111120000"),
        notice("u0", "", "20240111120000"),
    )
    raw_log.admitted("trading.bid", CITY, bid(a, "X", "20240112120000"), bid(lot_code(p1, 7), "X", "20240112120000"))
    drop = raw_log.batch("trading.result", COUNTY, [
        {"bid_section_code": b, "win_bidder_code": "X", "tender_project_code": p1, "unified_deal_code": code,
         "price_form_code": "1", "bid_amount": 5, "price_unit": "1", "notice_send_time": "20240113",
         "data_timestamp": "20240113120000"}], drop="20240813")  # fmt: skip
    raw_log.say("admitted", drop)
    models.build("slot_a", to_seq=raw_log.max_seq(), full=True)
    models.build("slot_b", to_seq=raw_log.max_seq(), full=True)
    assert models.differences("slot_a", "slot_b") == {}
    assert models.row(f"select is_orphan from slot_a.fct_transaction where lot_code = '{orphan}'") == (True,)
    of_no_lot = models.row("select lot_code, is_orphan from slot_a.fct_transaction_event where record_key = 'u0'")
    assert of_no_lot == (None, True)

    # second night: a moves to another region and month; its notice drops it; the late project comes; the bid is
    # deleted; two corrections of c are loaded in one order and admitted in the other, with the same cursor
    raw_log.admitted(
        "trading.lot",
        CITY,
        lot(a, "20240814090000", region_code=OTHER_CITY, create_time="20240301080000"),
        night=night(1),
    )
    raw_log.admitted("trading.notice", CITY, notice("u1", b, "20240814090000"), night=night(1))
    raw_log.admitted("trading.project", CITY, project(late, "20240814090000"), night=night(1))
    raw_log.admitted("trading.bid", CITY, bid(a, "X", "20240814090000", is_delete="T"), night=night(1))
    earlier = raw_log.batch("trading.lot", CITY, [lot(c, "20240814100000", contract_reckon_price=1)], night=night(1))
    later = raw_log.batch("trading.lot", CITY, [lot(c, "20240814100000", contract_reckon_price=2)], night=night(1))
    raw_log.say("admitted", later)
    raw_log.say("admitted", earlier)
    models.build("slot_a", to_seq=raw_log.max_seq(), night=night(1))
    models.build("slot_b", to_seq=raw_log.max_seq(), night=night(1), full=True)
    assert models.differences("slot_a", "slot_b") == {}
    moved = models.row(f"select region_code, created_date, notices from slot_a.fct_transaction where lot_code = '{a}'")
    assert moved == (OTHER_CITY, dt.date(2024, 3, 1), 0)
    assert models.row(f"select reckon_price_yuan from slot_a.fct_transaction where lot_code = '{c}'") == (1,)
    assert models.row(f"select is_orphan from slot_a.fct_transaction where lot_code = '{orphan}'") == (False,)
    assert models.rows(f"select 1 from slot_a.fct_bid where lot_code = '{a}'") == []

    # third night: a project's only version is withdrawn, a drop is superseded, a lot is deleted, u2 is withdrawn,
    # the lot of the orphan bid arrives
    raw_log.say("withdrawn", only_p3)
    again = raw_log.batch("trading.result", COUNTY, [
        {"bid_section_code": a, "win_bidder_code": "Y", "tender_project_code": p1, "unified_deal_code": code,
         "price_form_code": "2", "other_bid_amount": "95%", "data_timestamp": "20240113120000"}],
        night=night(2), drop="20240813")  # fmt: skip
    raw_log.say("superseded", drop)
    raw_log.say("admitted", again)
    raw_log.admitted(
        "trading.lot",
        CITY,
        lot(b, "20240815090000", is_delete="1"),
        lot(lot_code(p1, 7), "20240815090000"),
        night=night(2),
    )
    raw_log.admitted("trading.notice", CITY, notice("u2", c, "20240815090000", is_delete="1"), night=night(2))
    models.build("slot_a", to_seq=raw_log.max_seq(), night=night(2))
    models.build("slot_b", to_seq=raw_log.max_seq(), night=night(2), full=True)
    assert models.differences("slot_a", "slot_b") == {}
    assert models.rows(f"select 1 from slot_a.dim_project where project_code = '{p3}'") == []
    assert models.row(f"select is_orphan from slot_a.fct_transaction where project_code = '{p3}'") == (True,)
    assert models.rows(f"select 1 from slot_a.fct_transaction where lot_code = '{b}'") == []
    assert models.row("select distinct is_orphan from slot_a.fct_transaction_event where record_key = 'u1'") == (True,)
    assert models.row(f"select is_withdrawn from slot_a.fct_transaction where lot_code = '{c}'") == (True,)
    assert models.row("select award_yuan from slot_a.fct_transaction where awards > 0") == (None,)
    assert models.row("select is_orphan from slot_a.fct_bid") == (False,)


# --- seeded nights ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_night_by_night_equals_from_nothing_in_any_order(seed: int, raw_log: RawLog, models: Models) -> None:
    """Random nights with withheld, withdrawn, superseded and readmitted batches, ties of cursors and skipped builds."""
    province = Trading(raw_log, random.Random(seed))
    province.pass_night()
    models.build("slot_a", to_seq=raw_log.max_seq(), full=True)
    for number in range(1, 3):
        for _ in range(province.random.randint(1, 2)):
            province.pass_night()
        tonight = night(province.number - 1)
        models.build("slot_a", to_seq=raw_log.max_seq(), night=tonight)
        models.build("slot_b", to_seq=raw_log.max_seq(), night=tonight, full=True)
        assert models.differences("slot_a", "slot_b") == {}, f"seed {seed}, build {number}"
    assert models.row("select count(*) > 10 from slot_a.fct_transaction") == (True,)


# --- controls that must go red ----------------------------------------------------------------------------------------

REPLACE = "macros/replace_keys.sql"
DELETE = 'where {{ is_touched("t", arg_dict["unique_key"]) }}'
CONTROLS = {
    # as dbt's own delete+insert: only keys that still have rows are deleted
    "vanished keys stay": (
        DELETE,
        DELETE
        + ' and exists (select 1 from {{ arg_dict["temp_relation"] }} as n'
        + ' where {{ is_touched("n", arg_dict["unique_key"]) }})',
    ),
    # nothing is deleted
    "no delete": (DELETE, "where false"),
}


@pytest.mark.parametrize("control", list(CONTROLS))
def test_control_without_the_delete_of_touched_keys_it_goes_red(
    control: str, models: Models, raw_log: RawLog, tmp_path: Path
) -> None:
    """The comparison (or the unique index of a fact) notices a build that leaves touched keys in place."""
    project = copied_project(tmp_path, {REPLACE: CONTROLS[control]})
    models = dataclasses.replace(models, folder=tmp_path / "dbt", project=project)
    province = Trading(raw_log, random.Random(1))
    province.pass_night()
    models.build("slot_a", to_seq=raw_log.max_seq(), full=True)
    province.pass_night()
    models.open("slot_a", to_seq=raw_log.max_seq(), night=night(1))
    result = models.run("run", "slot_a")
    if not result.success:
        messages = " ".join(str(one.message) for one in result.result.results)
        assert control == "no delete"
        assert "duplicate key value violates unique constraint" in messages
        return
    models.build("slot_b", to_seq=raw_log.max_seq(), night=night(1), full=True)
    assert "fct_transaction" in models.differences("slot_a", "slot_b")
