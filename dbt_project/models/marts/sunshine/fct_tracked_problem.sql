{{
    config(
        materialized="incremental",
        incremental_strategy="replace_keys",
        unique_key="problem_id",
        on_schema_change="fail",
        meta={"touched": "tracked_problem"},
        indexes=[
            {"columns": ["problem_id"], "unique": true},
            {"columns": ["month_start_date", "village_code"]},
            {"columns": ["resolved_month_start_date", "village_code"]},
        ],
    )
}}
-- depends_on: {{ ref("touched_key") }}
with
    {% if is_incremental() %} touched as ({{ touched_keys() }}), {% endif %}

    problems as ({{ of_touched_keys(ref("stg_sunshine__tracked_problem"), "problem_id") }}),

    final as (
        select
            p.problem_id,
            p.village_code,
            {{ place_columns() }},
            case
                p.problem_kind_code when '1' then 'public' when '2' then 'potential' else 'unknown'
            end as problem_kind,
            p.opened_at,
            p.resolved_at,
            {{ month_of(problem_time("p.opened_at", "p.resolved_at", "p.source_cursor")) }}
            as month_start_date,
            {{ month_of("p.resolved_at") }} as resolved_month_start_date,
            {{ minutes_between("p.opened_at", "p.resolved_at") }} as resolution_minutes,
            p.resolved_at is not null as is_resolved,
            p.node_code,
            p.source_batch_id,
            p.source_row,
            p.source_cursor,
            {{ slot_columns() }}
        from problems as p {{ join_places("p") }}
        where not p.is_deleted
    )

select *
from final
