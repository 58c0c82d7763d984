{{
    config(
        indexes=[
            {"columns": ["expert_code", "valid_from"], "unique": true},
        ]
    )
}}

with
    raw_versions as ({{ visible_versions("hotline", "expert", ["expert_code"]) }}),

    versions as (
        select
            expert_code,
            expert_name as expert_name_token,
            dept_code as department_code,
            specialty,
            {{ shanghai_date("start_date") }} as start_date,
            coalesce({{ flag("is_delete") }}, false) as is_deleted,
            data_timestamp
        from raw_versions
    ),

    intervals as (
        {{
            history_intervals(
                "versions",
                "expert_code",
                ["expert_name_token", "department_code", "specialty", "start_date"],
            )
        }}
    ),

    final as (
        select
            expert_code,
            expert_name_token,
            department_code,
            specialty,
            start_date,
            {{ validity_columns() }},
            {{ slot_columns() }}
        from intervals
    )

select *
from final
