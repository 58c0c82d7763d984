{{ config(indexes=[{"columns": ["month_start_date", "node_code"]}]) }}

with
    lots as (
        select lot_code, node_code, region_code, industry_code
        from {{ ref("fct_transaction") }}
        where awards > 0
    ),

    awards as (
        select lot_code, organization_code, occurred_at, amount_yuan, is_held
        from {{ ref("fct_transaction_event") }}
        where dataset = 'result' and not is_orphan
    ),

    bids as (select lot_code, bidder_code, bidder_region_code from {{ ref("fct_bid") }}),

    organizations as (select organization_code, region_code from {{ ref("dim_organization") }}),

    -- the region that the winner's tender for the lot gives, else the one that it gave last
    located as (
        select
            {{ month_of("a.occurred_at") }} as month_start_date,
            l.node_code,
            l.region_code,
            l.industry_code,
            coalesce(b.bidder_region_code, o.region_code) as bidder_region_code,
            a.amount_yuan,
            a.is_held
        from awards as a
        inner join lots as l on l.lot_code = a.lot_code
        left join bids as b on b.lot_code = a.lot_code and b.bidder_code = a.organization_code
        left join organizations as o on o.organization_code = a.organization_code
    ),

    coded as (
        select
            *,
            left(bidder_region_code, 2) || '0000' as bidder_province_code,
            case
                when bidder_region_code ~ '^21' and substr(bidder_region_code, 3, 2) <> '00'
                then left(bidder_region_code, 4) || '00'
            end as bidder_city_code,
            case
                when substr(region_code, 3, 2) <> '00' then left(region_code, 4) || '00'
            end as region_city_code
        from located
    ),

    final as (
        select
            month_start_date,
            bidder_province_code,
            bidder_city_code,
            node_code,
            region_code,
            region_city_code,
            industry_code,
            case
                when bidder_province_code is null or region_code is null
                then 'unknown'
                when bidder_province_code <> left(region_code, 2) || '0000'
                then 'other_province'
                when bidder_city_code is null or region_city_code is null
                then 'same_province'
                when bidder_city_code <> region_city_code
                then 'other_city'
                else 'same_city'
            end as flow,
            count(*) as wins,
            coalesce(sum(amount_yuan) filter (where not is_held), 0)::numeric(18, 2) as won_yuan,
            coalesce(sum(amount_yuan) filter (where is_held), 0)::numeric(18, 2) as held_won_yuan,
            {{ slot_columns() }}
        from coded
        group by
            month_start_date,
            bidder_province_code,
            bidder_city_code,
            node_code,
            region_code,
            region_city_code,
            industry_code
    )

select *
from final
