with
    latest as ({{ latest_visible("sunshine", "registration", ["village_code", "stat_month"]) }}),

    final as (
        select
            village_code,
            stat_month,
            to_date(stat_month, 'YYYYMM') as month_start_date,
            new_users::integer as new_users,
            {{ version_columns() }}
        from latest
    )

select *
from final
