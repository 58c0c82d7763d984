"""From a published row back to raw versions, batches, landed files and node (I7), with the real models."""

import json

import pytest
from tests.support.publishing import NIGHT, Verdict, publisher
from tests.support.raw_log import RawLog
from tests.support.trading_raw import deal_code, lot_code, project_code

from yingshang.cli import main
from yingshang.errors import UsageError
from yingshang.publish import Trace, trace
from yingshang.publish.dbt_runner import DbtBuilder

CITY, COUNTY = "210300", "210321"
PROJECT = project_code(CITY, 1)
LOT = lot_code(PROJECT, 1)
BIDDER = "91210100MA0ABCDE1X"
DEAL = deal_code("A01", "20240801", 1)
LATE = deal_code("A01", "20240802", 2)


def stamped(cursor: str, **values: str) -> dict[str, str]:
    return {"tender_project_code": PROJECT, "unified_deal_code": DEAL, "data_timestamp": cursor, **values}


@pytest.fixture
def batches(warehouse, monkeypatch) -> dict[str, int]:
    """A deal whose lot was corrected; a bid that was withdrawn; a lot that no gate has judged. Published."""
    with warehouse.admin() as admin:
        log = RawLog(admin)
        lot = {"bid_section_code": LOT, "region_code": CITY, "create_time": "20240801"}
        made = {
            "project": log.admitted("trading.project", CITY, stamped("20240801080000", create_time="20240801")),
            "lot": log.admitted("trading.lot", CITY, stamped("20240801090000", **lot)),
            "lot again": log.admitted("trading.lot", CITY, stamped("20240802090000", **lot)),
            "bid": log.admitted(
                "trading.bid", CITY, stamped("20240803090000", bid_section_code=LOT, bidder_org_code=BIDDER)
            ),
            "bid again": log.admitted(
                "trading.bid", CITY, stamped("20240804090000", bid_section_code=LOT, bidder_org_code=BIDDER)
            ),
            "late lot": log.batch(
                "trading.lot", CITY,
                [stamped("20240805090000", bid_section_code=lot_code(PROJECT, 2)) | {"unified_deal_code": LATE}],
            ),
        }  # fmt: skip
        log.say("withdrawn", made["bid again"])
        admin.execute("update ops.batch set landing_uri = 'file:///landing/' || batch_id || '.parquet'")
    one = publisher(DbtBuilder(), audit=lambda build_id: Verdict(True))
    built = one.build(NIGHT, "test")
    one.audit(built.build_id)
    one.publish(built.build_id, "test")
    return made


def versions(found: Trace, dataset: str) -> list[tuple[int, bool, bool]]:
    return [(one.batch_id, one.is_visible, one.is_shown) for one in found.versions if one.dataset == dataset]


def test_a_published_deal_is_traced_to_its_versions_batches_files_and_node(batches, capsys) -> None:
    found = trace(DEAL)
    assert {one.mart for one in found.mart_rows} >= {"fct_transaction", "fct_bid"}
    assert versions(found, "trading.lot") == [(batches["lot"], True, False), (batches["lot again"], True, True)]
    assert versions(found, "trading.bid") == [(batches["bid"], True, True), (batches["bid again"], False, False)]
    by_id = {one.batch_id: one for one in found.deliveries}
    delivery = by_id[batches["bid again"]]
    assert (delivery.node_code, delivery.node_name, delivery.event) == (CITY, "鞍山市", "withdrawn")
    assert delivery.landing_uri == f"file:///landing/{batches['bid again']}.parquet"
    assert trace(LOT).versions == found.versions

    with pytest.raises(SystemExit) as ended:
        main(["trace", DEAL])
    assert not ended.value.code
    shown = capsys.readouterr().out
    assert "fct_transaction" in shown
    assert "鞍山市" in shown
    with pytest.raises(SystemExit):
        main(["trace", DEAL, "--json"])
    assert json.loads(capsys.readouterr().out)["publication"]["build_id"] == 1

    unpublished = trace(LATE)
    assert unpublished.mart_rows == ()
    assert versions(unpublished, "trading.lot") == [(batches["late lot"], False, False)]
    assert unpublished.deliveries[0].event is None

    with pytest.raises(UsageError, match="neither a deal nor a lot"):
        trace(deal_code("A01", "20240101", 9))
