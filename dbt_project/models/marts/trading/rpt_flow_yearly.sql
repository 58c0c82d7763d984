{{ config(indexes=[{"columns": ["node_code", "year_start_date"]}]) }}

-- by node, since row security tells rows apart by it
with
    flows as (select * from {{ ref("rpt_cross_region_flow") }}),

    final as (
        select
            date_trunc('year', month_start_date)::date as year_start_date,
            node_code,
            bidder_province_code,
            bidder_city_code,
            region_city_code,
            sum(wins)::bigint as wins,
            sum(won_yuan)::numeric(18, 2) as won_yuan,
            sum(held_won_yuan)::numeric(18, 2) as held_won_yuan,
            {{ slot_columns() }}
        from flows
        group by
            date_trunc('year', month_start_date)::date,
            node_code,
            bidder_province_code,
            bidder_city_code,
            region_city_code
    )

select *
from final
order by node_code, year_start_date
