with
    latest as ({{ latest_visible("sunshine", "evaluation", ["village_code", "stat_month"]) }}),

    final as (
        select
            village_code,
            stat_month,
            to_date(stat_month, 'YYYYMM') as month_start_date,
            participants::integer as participants,
            satisfied::integer as satisfied,
            {{ version_columns() }}
        from latest
    )

select *
from final
