{{
    config(
        materialized="incremental",
        incremental_strategy="replace_keys",
        unique_key="session_code",
        on_schema_change="fail",
        meta={"touched": "expert_session", "touched_through": {"expert_code": "expert"}},
        indexes=[
            {"columns": ["session_code"], "unique": true},
            {"columns": ["expert_code"]},
            {"columns": ["session_date"]},
        ],
    )
}}
-- depends_on: {{ ref("touched_key") }}
with
    {% if is_incremental() %} touched as ({{ touched_keys() }}), {% endif %}

    all_sessions as ({{ of_touched_keys(ref("stg_hotline__expert_session"), "session_code") }}),

    sessions as (select * from all_sessions where not is_deleted),

    expert_keys as (
        select expert_code as key from sessions where expert_code is not null group by expert_code
    ),

    experts as ({{ of_touched_keys(ref("stg_hotline__expert"), "expert_code", keys="expert_keys") }}),

    live_experts as (select expert_code, department_code from experts where not is_deleted),

    final as (
        select
            s.session_code,
            s.expert_code,
            e.department_code,
            s.node_code,
            s.session_date,
            s.topic,
            s.session_kind_code,
            coalesce(k.name, 'unknown') as session_kind,
            e.expert_code is null as is_orphan,
            s.source_batch_id,
            s.source_row,
            s.source_cursor,
            {{ slot_columns() }}
        from sessions as s
        left join live_experts as e on e.expert_code = s.expert_code
        left join {{ ref("hotline_session_kinds") }} as k on k.code = s.session_kind_code
    )

select *
from final
