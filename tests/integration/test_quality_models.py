"""The publish gate on the marts that dbt builds, through the publisher: it agrees with them, and stops a wrong row."""

import datetime as dt
import random
import re

import pytest
from tests.support.hotline_nights import Hotline
from tests.support.quality_ledger import NIGHT
from tests.support.quality_marts import fill_raw
from tests.support.raw_log import RawLog
from tests.support.supervision_nights import Supervision

from yingshang import publish, quality
from yingshang.errors import AuditFailed
from yingshang.settings import PROJECT_ROOT


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


MODELS = PROJECT_ROOT / "dbt_project" / "models"
WRONG = {
    "update {slot}.fct_issue set is_resolved = not is_resolved":
        r"fct_issue\.by_batch.*mart_resolved is .*event_resolved is",
    "update {slot}.fct_issue_outcome set amount_yuan = amount_yuan * 10000 where amount_yuan > 0":
        r"fct_issue_outcome\.by_node.*mart_yuan is .*source_yuan is",
    "delete from {slot}.fct_work_order where order_no = (select min(order_no) from {slot}.fct_work_order)":
        r"fct_work_order\.by_node.*mart_rows is .*source_rows is",
    "update {slot}.rpt_hotline_kpi set solved_orders = solved_orders + 1":
        r"rpt_hotline_kpi\.by_node.*report_solved is .*fact_solved is",
}  # fmt: skip


def test_suites_of_supervision_and_hotline_agree_with_dbt_and_name_what_is_wrong(warehouse):
    """Only these suites are looked at: trading is empty here, and figures of such a province are none."""
    with warehouse.admin() as admin:
        log = RawLog(admin)
        for kind in (Supervision, Hotline):
            nights = kind(log, random.Random(7), most=40, undone=1)
            tonight = [nights.pass_night() for _ in range(2)][-1]
        built = publish.build(tonight, f"test:{tonight}")
        with pytest.raises(AuditFailed, match="fct_transaction"):
            publish.audit(built.build_id)
        assert _failures(built.build_id) == []
        for statement in WRONG:
            assert admin.execute(statement.format(slot=built.slot)).rowcount, statement
        messages = " ".join(_failures(built.build_id))
        for found in WRONG.values():
            assert re.search(found, messages), (found, messages)


def _failures(build_id: int) -> list[str]:
    marts = {path.stem for system in ("supervision", "hotline") for path in MODELS.glob(f"marts/{system}/*.sql")}
    return [line for line in quality.audit(build_id).failures if re.split(r"[.,]", line)[0] in marts]
