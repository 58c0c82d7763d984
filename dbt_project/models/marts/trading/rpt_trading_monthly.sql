{{
    config(
        indexes=[
            {"columns": ["month_start_date", "node_code", "type_code"]},
            {"columns": ["node_code", "month_start_date"]},
        ]
    )
}}

with
    lots as (select * from {{ ref("fct_transaction") }}),

    final as (
        select
            date_trunc('month', created_date)::date as month_start_date,
            node_code,
            region_code,
            type_code,
            min(industry_code) as industry_code,
            count(*) as lots,
            count(*) filter (where is_withdrawn) as withdrawn_lots,
            count(*) filter (where is_orphan) as orphan_lots,
            count(*) filter (where is_held) as held_lots,
            count(*) filter (where awards > 0) as awarded_lots,
            count(*) filter (where contracts > 0) as contracted_lots,
            sum(bids)::bigint as bids,
            coalesce(sum(reckon_price_yuan) filter (where not is_held), 0)::numeric(
                18, 2
            ) as reckon_price_yuan,
            coalesce(sum(reckon_price_yuan) filter (where is_held), 0)::numeric(
                18, 2
            ) as held_reckon_price_yuan,
            coalesce(sum(award_yuan), 0)::numeric(18, 2) as award_yuan,
            coalesce(sum(held_award_yuan), 0)::numeric(18, 2) as held_award_yuan,
            coalesce(sum(contract_yuan), 0)::numeric(18, 2) as contract_yuan,
            coalesce(sum(held_contract_yuan), 0)::numeric(18, 2) as held_contract_yuan,
            coalesce(sum(settled_yuan), 0)::numeric(18, 2) as settled_yuan,
            coalesce(sum(held_settled_yuan), 0)::numeric(18, 2) as held_settled_yuan,
            {{ slot_columns() }}
        from lots
        group by date_trunc('month', created_date)::date, node_code, region_code, type_code
    )

-- the rows of a node lie together
select *
from final
order by node_code, month_start_date
