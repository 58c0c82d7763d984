with
    latest as ({{ latest_visible("sunshine", "petition", ["village_code", "stat_month"]) }}),

    final as (
        select
            village_code,
            stat_month,
            to_date(stat_month, 'YYYYMM') as month_start_date,
            complaints::integer as complaints,
            reports::integer as reports,
            {{ version_columns() }}
        from latest
    )

select *
from final
