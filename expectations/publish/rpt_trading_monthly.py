"""rpt_trading_monthly: lots and yuan per month, node, division and type. Its sums are those of fct_transaction."""

from yingshang.quality.measures import of_mart
from yingshang.quality.rules import same
from yingshang.quality.suites import Measure

BY_NODE = """
with monthly as (
    select
        node_code,
        sum(lots)::bigint as monthly_lots,
        sum(withdrawn_lots)::bigint as monthly_withdrawn_lots,
        sum(bids)::bigint as monthly_bids,
        sum(reckon_price_yuan)::float8 as monthly_yuan,
        sum(held_reckon_price_yuan)::float8 as monthly_held_yuan,
        sum(award_yuan)::float8 as monthly_award_yuan,
        sum(contract_yuan)::float8 as monthly_contract_yuan
    from serve.rpt_trading_monthly
    where _slot = %(slot)s
    group by node_code
),
facts as (
    select
        node_code,
        count(*) as fact_lots,
        count(*) filter (where is_withdrawn) as fact_withdrawn_lots,
        sum(bids)::bigint as fact_bids,
        coalesce(sum(reckon_price_yuan) filter (where not is_held), 0)::float8 as fact_yuan,
        coalesce(sum(reckon_price_yuan) filter (where is_held), 0)::float8 as fact_held_yuan,
        coalesce(sum(award_yuan), 0)::float8 as fact_award_yuan,
        coalesce(sum(contract_yuan), 0)::float8 as fact_contract_yuan
    from serve.fct_transaction
    where _slot = %(slot)s
    group by node_code
)
select
    node_code,
    coalesce(monthly_lots, 0) as monthly_lots,
    coalesce(fact_lots, 0) as fact_lots,
    coalesce(monthly_withdrawn_lots, 0) as monthly_withdrawn_lots,
    coalesce(fact_withdrawn_lots, 0) as fact_withdrawn_lots,
    coalesce(monthly_bids, 0) as monthly_bids,
    coalesce(fact_bids, 0) as fact_bids,
    coalesce(monthly_yuan, 0) as monthly_yuan,
    coalesce(fact_yuan, 0) as fact_yuan,
    coalesce(monthly_held_yuan, 0) as monthly_held_yuan,
    coalesce(fact_held_yuan, 0) as fact_held_yuan,
    coalesce(monthly_award_yuan, 0) as monthly_award_yuan,
    coalesce(fact_award_yuan, 0) as fact_award_yuan,
    coalesce(monthly_contract_yuan, 0) as monthly_contract_yuan,
    coalesce(fact_contract_yuan, 0) as fact_contract_yuan
from monthly
full join facts using (node_code)
order by node_code
"""

MEASURES = (
    of_mart(
        "rpt_trading_monthly",
        key=("month_start_date", "node_code", "region_code", "type_code"),
        least_rows=1,
    ),
    Measure(
        name="rpt_trading_monthly.by_node",
        sql=BY_NODE,
        index="node_code",
        expectations=lambda: [
            same("monthly_lots", "fact_lots", "the lots of all months are those of fct_transaction"),
            same("monthly_withdrawn_lots", "fact_withdrawn_lots", "withdrawn lots are those of fct_transaction"),
            same("monthly_bids", "fact_bids", "bids are those of fct_transaction"),
            same("monthly_yuan", "fact_yuan", "estimated prices in yuan are those of fct_transaction"),
            same("monthly_held_yuan", "fact_held_yuan", "held prices in yuan are those of fct_transaction"),
            same("monthly_award_yuan", "fact_award_yuan", "awards in yuan are those of fct_transaction"),
            same("monthly_contract_yuan", "fact_contract_yuan", "contracts in yuan are those of fct_transaction"),
        ],
    ),
)
