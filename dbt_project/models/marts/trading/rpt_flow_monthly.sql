{{ config(indexes=[{"columns": ["node_code", "month_start_date", "flow"], "unique": true}]) }}

-- by node, since row security tells rows apart by it
with
    flows as (select * from {{ ref("rpt_cross_region_flow") }}),

    final as (
        select
            month_start_date,
            node_code,
            flow,
            sum(wins)::bigint as wins,
            sum(won_yuan)::numeric(18, 2) as won_yuan,
            sum(held_won_yuan)::numeric(18, 2) as held_won_yuan,
            {{ slot_columns() }}
        from flows
        group by month_start_date, node_code, flow
    )

select *
from final
