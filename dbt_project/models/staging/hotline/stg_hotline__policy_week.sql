with
    latest as ({{ latest_visible("hotline", "policy_week", ["week_code"]) }}),

    final as (
        select
            week_code,
            {{ shanghai_date("week_start") }} as week_start_date,
            topic,
            interpretation,
            dept_code as department_code,
            {{ version_columns() }}
        from latest
    )

select *
from final
