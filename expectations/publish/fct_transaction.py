"""fct_transaction: one row per live lot. Its lots and amounts equal what the sources delivered, node by node."""

from yingshang.quality.measures import of_mart
from yingshang.quality.rules import at_most, none, same
from yingshang.quality.suites import Measure

BY_NODE = """
with mart as (
    select
        node_code,
        count(*) as mart_lots,
        coalesce(sum(reckon_price_yuan) filter (where not is_held), 0)::float8 as mart_yuan,
        coalesce(sum(reckon_price_yuan) filter (where is_held), 0)::float8 as mart_held_yuan,
        coalesce(sum(award_yuan), 0)::float8 as mart_award_yuan,
        coalesce(sum(contract_yuan), 0)::float8 as mart_contract_yuan
    from serve.fct_transaction
    where _slot = %(slot)s
    group by node_code
),
source as (
    select
        node_code,
        count(*) as source_lots,
        coalesce(sum(contract_reckon_price_yuan) filter (where contract_reckon_price_yuan <= %(held_above)s), 0)::float8
            as source_yuan,
        coalesce(sum(contract_reckon_price_yuan) filter (where contract_reckon_price_yuan > %(held_above)s), 0)::float8
            as source_held_yuan
    from live_trading__lot
    group by node_code
),
awards as (
    select l.node_code, sum(r.bid_amount_yuan)::float8 as source_award_yuan
    from live_trading__result r
    join live_trading__lot l using (bid_section_code)
    where r.bid_amount_yuan <= %(held_above)s
    group by l.node_code
),
contracts as (
    select l.node_code, sum(c.contract_price_yuan)::float8 as source_contract_yuan
    from live_trading__contract c
    join live_trading__lot l using (bid_section_code)
    where c.contract_price_yuan <= %(held_above)s
    group by l.node_code
)
select
    node_code,
    coalesce(mart_lots, 0) as mart_lots,
    coalesce(source_lots, 0) as source_lots,
    coalesce(mart_yuan, 0) as mart_yuan,
    coalesce(source_yuan, 0) as source_yuan,
    coalesce(mart_held_yuan, 0) as mart_held_yuan,
    coalesce(source_held_yuan, 0) as source_held_yuan,
    coalesce(mart_award_yuan, 0) as mart_award_yuan,
    coalesce(source_award_yuan, 0) as source_award_yuan,
    coalesce(mart_contract_yuan, 0) as mart_contract_yuan,
    coalesce(source_contract_yuan, 0) as source_contract_yuan
from mart
full join source using (node_code)
left join awards using (node_code)
left join contracts using (node_code)
order by node_code
"""

MEASURES = (
    of_mart(
        "fct_transaction",
        key="lot_code",
        least_rows=1,
        from_batches=True,
        figures="""
    count(*) filter (where type_code not in (
        select type_code from serve.dim_transaction_type where _slot = %(slot)s
    )) as unlisted_types,
    count(*) filter (where industry_code not in (
        select industry_code from serve.dim_industry where _slot = %(slot)s
    )) as unlisted_industries,
    count(*) filter (where node_code not in (
        select region_code from serve.dim_division where _slot = %(slot)s and is_node
    )) as unlisted_nodes,
    count(*) filter (where is_held <> coalesce(reckon_price_yuan > %(held_above)s, false)) as wrong_held_flags,
    count(*) filter (where least(reckon_price_yuan, award_yuan, contract_yuan, settled_yuan) < 0) as negative_amounts,
    avg((type_code = 'unknown')::int)::float8 as unknown_type_rate,
    avg(is_orphan::int)::float8 as orphan_rate,
    avg(is_held::int)::float8 as held_rate,
    avg(is_withdrawn::int)::float8 as withdrawn_rate,
    avg((created_date is null)::int)::float8 as undated_rate,
    avg((created_date > %(night)s::date + 1)::int)::float8 as future_rate
    """,
        expectations=lambda: [
            none("unlisted_types", "every type is in dim_transaction_type, 'unknown' included"),
            none("unlisted_industries", "every industry is in dim_industry"),
            none("unlisted_nodes", "every lot belongs to a node of the registry"),
            none("wrong_held_flags", "amounts above 3 billion yuan, and only they, await confirmation"),
            none("negative_amounts", "no amount is negative"),
            at_most("unknown_type_rate", 0.05, "types that map to nothing: extend the seed deal_type_map"),
            at_most("orphan_rate", 0.1, "lots whose project has not arrived"),
            at_most("held_rate", 0.01, "lots whose amount awaits confirmation"),
            at_most("withdrawn_rate", 0.3, "lots that were withdrawn"),
            at_most("undated_rate", 0.01, "lots without a day of creation belong to no month"),
            at_most("future_rate", 0.001, "lots created after the night"),
        ],
    ),
    Measure(
        name="fct_transaction.by_node",
        sql=BY_NODE,
        index="node_code",
        expectations=lambda: [
            same("mart_lots", "source_lots", "a row for each live lot of the node in raw"),
            same("mart_yuan", "source_yuan", "estimated prices in yuan, without those held, equal raw's"),
            same("mart_held_yuan", "source_held_yuan", "held estimated prices in yuan equal raw's"),
            same("mart_award_yuan", "source_award_yuan", "awarded amounts of live lots in yuan equal raw's"),
            same("mart_contract_yuan", "source_contract_yuan", "contract prices of live lots in yuan equal raw's"),
        ],
    ),
)
