"""fct_transaction_event: one row per live record (a notice once per lot it names), dated and staged."""

from yingshang.quality.measures import of_mart
from yingshang.quality.rules import at_most, none, same
from yingshang.quality.suites import Measure

BY_NODE = """
with mart as (
    select
        dataset,
        node_code,
        count(distinct record_key) as mart_records,
        coalesce(sum(amount_yuan), 0)::float8 as mart_yuan
    from serve.fct_transaction_event
    where _slot = %(slot)s
    group by dataset, node_code
),
source as (
    select 'notice' as dataset, node_code, count(*) as source_records, 0::float8 as source_yuan
    from live_trading__notice
    group by node_code
    union all
    select 'result', node_code, count(*), coalesce(sum(bid_amount_yuan), 0)::float8
    from live_trading__result
    group by node_code
    union all
    select 'contract', node_code, count(*), coalesce(sum(contract_price_yuan), 0)::float8
    from live_trading__contract
    group by node_code
    union all
    select 'performance', node_code, count(*), coalesce(sum(settle_price_yuan), 0)::float8
    from live_trading__performance
    group by node_code
)
select
    dataset || ' of ' || node_code as records,
    coalesce(mart_records, 0) as mart_records,
    coalesce(source_records, 0) as source_records,
    coalesce(mart_yuan, 0) as mart_yuan,
    coalesce(source_yuan, 0) as source_yuan
from mart
full join source using (dataset, node_code)
order by dataset, node_code
"""

MEASURES = (
    of_mart(
        "fct_transaction_event",
        key=("lot_key", "dataset", "record_key"),
        from_batches=True,
        figures="""
    count(*) filter (where type_code not in (
        select type_code from serve.dim_transaction_type where _slot = %(slot)s
    )) as unlisted_types,
    count(*) filter (where stage not in (
        'notice', 'clarification', 'opening', 'result', 'contract', 'performance', 'offered', 'sold', 'listed', 'dealt',
        'registered', 'terminated', 'awarded', 'signed', 'settled', 'unknown'
    )) as unlisted_stages,
    avg((stage = 'unknown')::int)::float8 as unknown_stage_rate,
    avg((type_code = 'unknown')::int)::float8 as unknown_type_rate,
    avg(is_orphan::int)::float8 as orphan_rate,
    avg((occurred_at is null)::int)::float8 as undated_rate
    """,
        expectations=lambda: [
            none("unlisted_types", "every type is in dim_transaction_type, 'unknown' included"),
            none("unlisted_stages", "every stage is one of the list, 'unknown' included"),
            at_most("unknown_stage_rate", 0.02, "notices that map to no stage: extend the seed stage_map"),
            at_most("unknown_type_rate", 0.05, "types that map to nothing: extend the seed deal_type_map"),
            at_most("orphan_rate", 0.1, "records whose lot has not arrived"),
            at_most("undated_rate", 0.05, "records without a time date no stage"),
        ],
    ),
    Measure(
        name="fct_transaction_event.by_node",
        sql=BY_NODE,
        index="records",
        expectations=lambda: [
            same("mart_records", "source_records", "each live notice, result, contract and performance of raw is here"),
            same("mart_yuan", "source_yuan", "amounts in yuan equal raw's"),
        ],
    ),
)
