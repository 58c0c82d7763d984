"""Small marts in ``serve``, computed from raw by SQL of the tests' own, for the tests of the publish gate."""

import datetime as dt
from pathlib import Path

from tests.support.quality_ledger import DEAL_CODE, NIGHT, add_batch, lot_rows, open_night

from yingshang.settings import PROJECT_ROOT
from yingshang.warehouse import PgConnection, ledger

NODES = ("210200", "210300")


def fill_raw(ingest: PgConnection) -> int:
    """A night of two nodes with all datasets, a correction, a tombstone and a held lot. Returns the last seq."""
    run = open_night(ingest)
    for node in NODES:
        lots = lot_rows(node, 10)
        lots[0]["contract_reckon_price"], lots[0]["price_unit"] = "400000", "1"  # 4 billion yuan: held
        add_batch(ingest, node, lots)
        common = {"unified_deal_code": DEAL_CODE, "data_timestamp": "20240813110000", "is_delete": "0"}
        project = lots[0]["tender_project_code"]
        codes = [lot["bid_section_code"] for lot in lots]
        add_batch(
            ingest, node, [{"tender_project_code": project, "region_code": node, **common}], dataset="trading.project"
        )
        url = f"http://ggzy.example/{node}"
        notices = [
            {
                "url": f"{url}/{number}", "tender_project_code": project, "bid_section_codes": ";".join(codes[:2]),
                "notice_nature": "1", "bulletin_type": "1", "notice_send_time": "20240801090000",
                "data_timestamp": "20240813110000", "is_delete": "0",
            }
            for number in range(3)
        ]  # fmt: skip
        add_batch(ingest, node, notices, dataset="trading.notice")
        bids = [
            {
                "bid_section_code": code, "bidder_org_code": f"91210100MA000{number:04d}X",
                "tender_project_code": project,
                "price_form_code": "1" if number else "2", "bid_price": 12.5 if number else 3, "price_unit": "1",
                "is_lost": "0", **common,
            }
            for code in codes
            for number in range(3)
        ]  # fmt: skip
        add_batch(ingest, node, bids, dataset="trading.bid")
        results = [
            {
                "bid_section_code": code, "win_bidder_code": "91210100MA0000001X", "tender_project_code": project,
                "price_form_code": "1", "bid_amount": 1000, "price_unit": "0", "notice_send_time": "20240810", **common,
            }
            for code in codes[:5]
        ]  # fmt: skip
        add_batch(ingest, node, results, dataset="trading.result")
        contracts = [
            {
                "bid_section_code": code, "bidder_code": "91210100MA0000001X", "tender_project_code": project,
                "contract_price": 990.5, "price_unit": "0", "contract_sign_time": "20240812", **common,
            }
            for code in codes[:4]
        ]  # fmt: skip
        add_batch(ingest, node, contracts, dataset="trading.contract")
        settled = [
            {"bid_section_code": code, "tender_project_code": project, "settle_price": 1, "price_unit": "1", **common}
            for code in codes[:2]
        ]
        add_batch(ingest, node, settled, dataset="trading.performance")
    _admit(ingest, run)
    later = open_night(ingest, "run-2", NIGHT + dt.timedelta(1))
    window = {
        "run_id": later, "night": NIGHT + dt.timedelta(1), "cursor_low": "20240813100000",
        "cursor_high": "20240814120000", "source_clock": "20240815010000",
    }  # fmt: skip
    changed = [
        *lot_rows("210200", 1, start=2, stamp="20240814120000", contract_reckon_price=2000),
        *lot_rows("210200", 1, start=3, stamp="20240814120000", is_delete="1"),
    ]
    add_batch(ingest, "210200", changed, **window)
    _admit(ingest, later)
    refused = open_night(ingest, "run-3", NIGHT + dt.timedelta(1))
    hidden = lot_rows("210300", 5, start=50, stamp="20240814120000")
    add_batch(ingest, "210300", hidden, **{**window, "run_id": refused, "cursor_high": "20240820120000"})
    seq = ingest.execute("select max(seq) from ops.batch_event").fetchone()[0]
    ingest.commit()
    return int(seq)


def _admit(ingest: PgConnection, run: str) -> None:
    batches = [batch.batch_id for batch in ledger.batches_of_run(ingest, run)]
    ledger.admit(ingest, batches, reason="test", actor="test")
    ingest.commit()


def make_marts(publish: PgConnection, to_seq: int, night: dt.date = NIGHT + dt.timedelta(1)) -> int:
    """A build of slot_a and its marts, as the suites see them. Returns the build id."""
    (build_id,) = publish.execute(
        "insert into ops.build (schema_name, slot, kind, from_seq, to_seq, night, run_id)"
        " values ('slot_a', 'slot_a', 'full', 0, %s, %s, 'run-2') returning build_id",
        (to_seq, night),
    ).fetchone()
    publish.execute(f"select set_config('test.build', '{build_id}', false)")
    publish.execute(_MARTS)
    publish.commit()
    return int(build_id)


def home_with_suites_of(publish: PgConnection, folder: Path) -> Path:
    """A project's home whose publish suites are those of the marts that are here; the rest is the project's own."""
    here = {name for (name,) in publish.execute("select tablename from pg_tables where schemaname = 'serve'")}
    (folder / "expectations" / "publish").mkdir(parents=True)
    (folder / "include").symlink_to(PROJECT_ROOT / "include")
    for path in (PROJECT_ROOT / "expectations" / "publish").glob("*.py"):
        if path.stem in here:
            (folder / "expectations" / "publish" / path.name).symlink_to(path)
    return folder


_MARTS = """
create temp table lots on commit drop as
    select * from (
        select distinct on (r.bid_section_code) r.*, b.node_code
        from raw.trading__lot r join ops.batch b on b.batch_id = r._batch_id
        where exists (select from ops.batch_event e where e.batch_id = r._batch_id and e.event = 'admitted')
        order by r.bid_section_code, r.data_timestamp desc
    ) v where is_delete = '0';
create temp table stamp on commit drop as
    select 'slot_a'::text as _slot, current_setting('test.build')::bigint as _build_id;

create table serve.dim_date as
    select d::date as date_day, s.* from generate_series('2024-01-01'::date, '2024-12-31', interval '1 day') d, stamp s;
create table serve.dim_industry as
    select i.industry_code, s.* from (values ('A'), ('unknown')) i (industry_code), stamp s;
create table serve.dim_transaction_type as
    select t.type_code, t.industry_code, s.*
    from (values ('A01', 'A'), ('unknown', 'unknown')) t (type_code, industry_code), stamp s;
create table serve.dim_division as
    select n::text || '000000' as division_code, n::text as region_code, true as is_node, s.*
    from generate_series(210200, 210314) n, stamp s;
create table serve.fct_bid as
    select
        r.bid_section_code as lot_code, r.bidder_org_code as bidder_code, b.node_code, 'A01' as type_code,
        case when r.price_form_code = '1' then r.bid_price * 10000 end::numeric(18, 2) as bid_price_yuan,
        false as is_held, l.bid_section_code is null as is_orphan, r._batch_id as source_batch_id, s.*
    from raw.trading__bid r join ops.batch b on b.batch_id = r._batch_id
    left join lots l using (bid_section_code) cross join stamp s;
create table serve.fct_contract as
    select
        r.bid_section_code as lot_code, r.bidder_code as contractor_code, b.node_code, 'A01' as type_code,
        r.contract_price::numeric(18, 2) as contract_price_yuan, false as is_held,
        l.bid_section_code is null as is_orphan, now() as signed_at, r._batch_id as source_batch_id, s.*
    from raw.trading__contract r join ops.batch b on b.batch_id = r._batch_id
    left join lots l using (bid_section_code) cross join stamp s;
create table serve.fct_transaction_event as
    with events as (
        select
            'notice' as dataset, url as record_key, code as lot_key, null::numeric as amount_yuan, _batch_id,
            'notice' as stage
        from raw.trading__notice, unnest(string_to_array(bid_section_codes, ';')) code
        union all
        select 'result', bid_section_code || '/' || win_bidder_code, bid_section_code, bid_amount, _batch_id, 'awarded'
        from raw.trading__result
        union all
        select 'contract', bid_section_code || '/' || bidder_code, bid_section_code, contract_price, _batch_id, 'signed'
        from raw.trading__contract
        union all
        select 'performance', bid_section_code, bid_section_code, settle_price * 10000, _batch_id, 'settled'
        from raw.trading__performance
    )
    select
        e.dataset, e.record_key, e.lot_key, b.node_code, 'A01' as type_code, e.stage, now() as occurred_at,
        e.amount_yuan::numeric(18, 2), false as is_held, false as is_orphan, e._batch_id as source_batch_id, s.*
    from events e join ops.batch b on b.batch_id = e._batch_id cross join stamp s;
create table serve.fct_transaction as
    select
        l.bid_section_code as lot_code, l.tender_project_code as project_code, l.node_code, l.region_code,
        'A01' as type_code, 'A' as industry_code,
        to_date(left(l.create_time, 8), 'YYYYMMDD') as created_date,
        (l.contract_reckon_price * case l.price_unit when '1' then 10000 else 1 end)::numeric(18, 2)
            as reckon_price_yuan,
        (select sum(amount_yuan) from serve.fct_transaction_event where lot_key = bid_section_code
            and stage = 'awarded')
            as award_yuan,
        (select sum(amount_yuan) from serve.fct_transaction_event where lot_key = bid_section_code
            and stage = 'signed')
            as contract_yuan,
        null::numeric as settled_yuan,
        (select count(*) from serve.fct_bid f where f.lot_code = l.bid_section_code) as bids,
        l.price_unit = '1' as is_held, false as is_withdrawn, false as is_orphan, l._batch_id as source_batch_id, s.*
    from lots l, stamp s;
create table serve.dim_project as
    select r.tender_project_code as project_code, b.node_code, r._batch_id as source_batch_id, s.*
    from raw.trading__project r join ops.batch b on b.batch_id = r._batch_id cross join stamp s;
create table serve.dim_organization as
    select distinct bidder_code as organization_code, true as is_valid_uscc, s.* from serve.fct_bid, stamp s;
create table serve.rpt_connection_matrix as
    select
        'A01' as type_code, d.region_code as node_code, count(f.lot_code) as lots, count(f.lot_code) as records,
        count(f.lot_code) > 0 as is_connected, null::date as connected_since_date, null::date as last_record_date,
        0 as silent_days, s.*
    from serve.dim_division d left join serve.fct_transaction f on f.node_code = d.region_code cross join stamp s
    group by d.region_code, s._slot, s._build_id;
create table serve.rpt_trading_monthly as
    select
        date_trunc('month', created_date)::date as month_start_date, node_code, region_code, type_code,
        count(*) as lots, 0 as withdrawn_lots, sum(bids) as bids,
        coalesce(sum(reckon_price_yuan) filter (where not is_held), 0) as reckon_price_yuan,
        coalesce(sum(reckon_price_yuan) filter (where is_held), 0) as held_reckon_price_yuan,
        coalesce(sum(award_yuan), 0) as award_yuan, coalesce(sum(contract_yuan), 0) as contract_yuan, s.*
    from serve.fct_transaction f cross join stamp s
    group by 1, 2, 3, 4, s._slot, s._build_id;
create table serve.rpt_provision as
    select 'trading' as system, d.dataset, n.node_code, n.node_code = '210300' as is_missing,
        100 as night_source_rows, 0 as night_quarantined_rows, s.*
    from (values ('lot'), ('bid')) d (dataset), (values ('210200'), ('210300')) n (node_code), stamp s;
"""
