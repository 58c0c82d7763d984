with
    latest as ({{ latest_visible("hotline", "expert", ["expert_code"]) }}),

    final as (
        select
            expert_code,
            expert_name as expert_name_token,
            dept_code as department_code,
            specialty,
            {{ shanghai_date("start_date") }} as start_date,
            {{ version_columns() }}
        from latest
    )

select *
from final
