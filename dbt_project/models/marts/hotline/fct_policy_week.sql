{{
    config(
        materialized="incremental",
        incremental_strategy="replace_keys",
        unique_key="week_code",
        on_schema_change="fail",
        meta={"touched": "policy_week", "touched_through": {"department_code": "department"}},
        indexes=[
            {"columns": ["week_code"], "unique": true},
            {"columns": ["department_code"]},
        ],
    )
}}
-- depends_on: {{ ref("touched_key") }}
with
    {% if is_incremental() %} touched as ({{ touched_keys() }}), {% endif %}

    all_weeks as ({{ of_touched_keys(ref("stg_hotline__policy_week"), "week_code") }}),

    weeks as (select * from all_weeks where not is_deleted),

    department_keys as (
        select department_code as key from weeks where department_code is not null group by department_code
    ),

    departments as (
        {{ of_touched_keys(ref("stg_hotline__department"), "department_code", keys="department_keys") }}
    ),

    live_departments as (select department_code, department_name from departments where not is_deleted),

    final as (
        select
            w.week_code,
            w.week_start_date,
            w.topic,
            w.interpretation,
            w.department_code,
            d.department_name,
            w.node_code,
            d.department_code is null as is_unknown_department,
            w.source_batch_id,
            w.source_row,
            w.source_cursor,
            {{ slot_columns() }}
        from weeks as w
        left join live_departments as d on d.department_code = w.department_code
    )

select *
from final
