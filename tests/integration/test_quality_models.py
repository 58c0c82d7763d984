"""The publish gate on the marts that dbt builds, through the publisher: it agrees with them, and stops a wrong row."""

import datetime as dt

import pytest
from tests.support.quality_ledger import NIGHT
from tests.support.quality_marts import fill_raw

from yingshang import publish
from yingshang.errors import AuditFailed


def test_real_marts_pass_and_a_changed_row_is_never_published(warehouse):
    with warehouse.connect("ingest") as ingest:
        fill_raw(ingest)
    night = NIGHT + dt.timedelta(1)
    built = publish.build(night, "run-2")
    verdict = publish.audit(built.build_id)
    assert verdict.passed
    with warehouse.admin() as admin:
        stops = "select count(*) from ops.check_result where stage = 'publish' and severity = 'stop' and not is_success"
        assert admin.execute(stops).fetchone() == (0,)
        assert publish.publish(built.build_id, "run-2").night == night

        second = publish.build(night, "run-2")
        admin.execute(
            f"update {second.slot}.fct_bid set bid_price_yuan = bid_price_yuan + 1 where bidder_code like '%1X'"
        )
        with pytest.raises(AuditFailed, match=r"fct_bid\.by_node.*mart_yuan is .*source_yuan is"):
            publish.audit(second.build_id)
        assert admin.execute("select build_id from ops.live").fetchone() == (built.build_id,)
        assert admin.execute("select state from ops.slot where slot = %s", (second.slot,)).fetchone() == ("bad",)
