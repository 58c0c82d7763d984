{{ config(indexes=[{"columns": ["node_code", "month_start_date", "red_flag_id"], "unique": true}]) }}

-- by node, since row security tells rows apart by it
with
    hits as (select * from {{ ref("rpt_red_flag") }}),

    final as (
        select
            date_trunc('month', raised_date)::date as month_start_date,
            red_flag_id,
            min(red_flag_name) as red_flag_name,
            min(red_flag_name_cn) as red_flag_name_cn,
            node_code,
            count(*) as hits,
            count(lot_key) as lots,
            max(raised_date) as last_raised_date,
            {{ slot_columns() }}
        from hits
        group by date_trunc('month', raised_date)::date, red_flag_id, node_code
    )

select *
from final
order by node_code, month_start_date
