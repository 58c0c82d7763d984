"""The publish gate on real tables: what is wrong stops the build by name, what is missing is named and published."""

import datetime as dt
from pathlib import Path

import pytest
from tests.support.quality_marts import fill_raw, home_with_suites_of, make_marts

from yingshang.errors import UsageError
from yingshang.quality import audit
from yingshang.settings import settings


@pytest.fixture
def build(warehouse, tmp_path, monkeypatch):
    """The gate on the marts of trading; what dbt builds of all systems is audited in test_quality_models."""
    with warehouse.connect("ingest") as ingest, warehouse.connect("publish") as publish:
        build_id = make_marts(publish, fill_raw(ingest))
        monkeypatch.setenv("YINGSHANG_HOME", str(home_with_suites_of(publish, tmp_path / "home")))
        yield publish, build_id


def test_marts_that_equal_their_sources_pass_and_a_missing_node_is_named(build):
    publish, build_id = build
    report = audit(build_id)
    assert report.passed, report.failures
    assert report.checks > 70
    named = [line for line in report.warnings if line.startswith("rpt_provision.by_node")]
    assert "trading of 210300" in named[0]
    assert "210200" not in named[0]
    rows = publish.execute(
        "select count(*), count(*) filter (where severity = 'stop' and not is_success) from ops.check_result"
        " where build_id = %s and stage = 'publish' and night = '2024-08-14'",
        (build_id,),
    ).fetchone()
    assert rows == (report.checks, 0)
    assert Path(report.docs).is_file()
    assert "publish" in (settings().data_docs / "index.html").read_text()


WRONG = {
    "a lot is gone": (
        "delete from serve.fct_transaction where lot_code = (select max(lot_code) from serve.fct_transaction)",
        ["fct_transaction.by_node", "210300", "mart_lots is 9, source_lots is 10"],
    ),
    "a price is another": (
        "update serve.fct_transaction set reckon_price_yuan = reckon_price_yuan + 0.01"
        " where lot_code = (select max(lot_code) from serve.fct_transaction)",
        ["fct_transaction.by_node", "210300", "mart_yuan is", "estimated prices in yuan"],
    ),
    "a deleted lot is back": (
        "insert into serve.fct_transaction select (jsonb_populate_record(f, jsonb_build_object('lot_code',"
        " 'A2102000000000000000003'))).* from serve.fct_transaction f where lot_code = 'A2102000000000000000002'",
        ["fct_transaction.by_node", "210200", "mart_lots is 10, source_lots is 9"],
    ),
    "a row is of another build": (
        "update serve.fct_bid set _build_id = _build_id - 1 where ctid = (select min(ctid) from serve.fct_bid)",
        ["fct_bid, night 2024-08-14", "rows_of_another_build is 1"],
    ),
    "a bid is doubled": (
        "insert into serve.fct_bid select * from serve.fct_bid limit 1",
        ["fct_bid, night", "duplicate_keys is 1"],
    ),
    "a bid's yuan are 10000 times too many": (
        "update serve.fct_bid set bid_price_yuan = bid_price_yuan * 10000 where bidder_code like '%1X'",
        ["fct_bid.by_node", "mart_yuan is"],
    ),
    "a contract is gone": (
        "delete from serve.fct_contract where ctid = (select min(ctid) from serve.fct_contract)",
        ["fct_contract.by_node", "mart_rows is 3, source_rows is 4"],
    ),
    "a notice is gone": (
        "delete from serve.fct_transaction_event where record_key = 'http://ggzy.example/210200/0'",
        ["fct_transaction_event.by_node", "notice of 210200", "mart_records is 2, source_records is 3"],
    ),
    "a type is in no list": (
        "update serve.fct_transaction set type_code = 'Q77'"
        " where lot_code = (select max(lot_code) from serve.fct_transaction)",
        ["fct_transaction, night", "unlisted_types is 1"],
    ),
    "the matrix lacks a pair": (
        "delete from serve.rpt_connection_matrix where node_code = '210310'",
        ["rpt_connection_matrix", "rows is 114, pairs is 115"],
    ),
    "the months add up to something else": (
        "update serve.rpt_trading_monthly set lots = lots + 1 where node_code = '210200'",
        ["rpt_trading_monthly.by_node", "210200", "monthly_lots is 10, fact_lots is 9"],
    ),
    "a row comes from a refused batch": (
        "update serve.fct_transaction set source_batch_id = (select max(batch_id) from ops.batch)"
        " where lot_code = (select max(lot_code) from serve.fct_transaction)",
        ["fct_transaction, night", "rows_of_hidden_batches is 1"],
    ),
    "a project is gone": ("delete from serve.dim_project", ["dim_project.by_node", "mart_rows is 0"]),
    "a mart is not served": ("drop table serve.rpt_provision", ["rpt_provision", "could not be measured"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_stops_the_build(build, case):
    publish, build_id = build
    statement, words = WRONG[case]
    publish.execute(statement)
    publish.commit()
    report = audit(build_id)
    assert not report.passed
    assert any(all(word in line for word in words) for line in report.failures), report.failures
    rows = publish.execute(
        "select count(*) from ops.check_result where build_id = %s and severity = 'stop' and not is_success",
        (build_id,),
    ).fetchone()
    assert rows == (len(report.failures),)
    assert words[0].split(",")[0] in str(report)


def test_a_rate_past_its_bound_warns_and_stops_nothing(build):
    publish, build_id = build
    publish.execute("update serve.fct_transaction set type_code = 'unknown', industry_code = 'unknown'")
    publish.execute("update serve.rpt_connection_matrix set lots = 0")
    publish.commit()
    report = audit(build_id)
    assert report.passed, report.failures
    assert any("unknown_type_rate is 1" in line and "deal_type_map" in line for line in report.warnings)


def test_batches_admitted_after_the_build_do_not_count(build, warehouse):
    _, build_id = build
    with warehouse.connect("ingest") as ingest:
        hidden = ingest.execute("select max(batch_id) from ops.batch").fetchone()[0]
        ingest.execute("select ops.record_events(array[%s]::bigint[], 'admitted', 'later', 'test')", (hidden,))
    assert audit(build_id).passed


def test_the_other_slot_does_not_count(build):
    publish, build_id = build
    publish.execute("insert into serve.fct_bid select * from serve.fct_bid")
    publish.execute(
        "update serve.fct_bid set _slot = 'slot_b', _build_id = 0"
        " where ctid in (select ctid from serve.fct_bid offset 60)"
    )
    publish.commit()
    assert audit(build_id).passed


def test_an_unknown_build_is_named(warehouse):
    with pytest.raises(UsageError, match="no build 77"):
        audit(77)


def test_a_build_outside_the_slots_is_refused(warehouse):
    with warehouse.connect("publish") as publish:
        (build_id,) = publish.execute(
            "insert into ops.build (schema_name, kind, from_seq, to_seq, night) values ('as_of_1', 'as_of', 0, 0, %s)"
            " returning build_id",
            (dt.date(2024, 8, 13),),
        ).fetchone()
    with pytest.raises(UsageError, match="not in a slot"):
        audit(build_id)


def test_data_docs_hold_no_value_of_a_row(build):
    publish, build_id = build
    publish.execute("delete from serve.fct_bid where ctid = (select min(ctid) from serve.fct_bid)")
    publish.commit()
    report = audit(build_id)
    text = "\n".join(path.read_text(encoding="utf-8") for path in Path(report.docs).parent.rglob("*.html"))
    assert "mart_rows" in text
    for word in ("91210100MA", "A2102000000000000000", "ggzy.example", "postgresql"):
        assert word not in text
