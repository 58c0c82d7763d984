{{
    config(
        materialized="incremental",
        incremental_strategy="replace_keys",
        unique_key="event_id",
        on_schema_change="fail",
        meta={"touched": "issue_event", "touched_through": {"issue_code": "issue"}},
        indexes=[
            {"columns": ["event_id"], "unique": true},
            {"columns": ["issue_code"]},
            {"columns": ["node_code", "occurred_at"]},
        ],
    )
}}
-- depends_on: {{ ref("touched_key") }}
with
    {% if is_incremental() %} touched as ({{ touched_keys() }}), {% endif %}

    all_events as ({{ of_touched_keys(ref("stg_supervision__issue_event"), "event_id") }}),

    events as (select * from all_events where not is_deleted),

    issue_keys as (select issue_code as key from events group by issue_code),

    issues as ({{ of_touched_keys(ref("stg_supervision__issue"), "issue_code", keys="issue_keys") }}),

    live_issues as (select issue_code, batch_code from issues where not is_deleted),

    final as (
        select
            e.event_id,
            e.issue_code,
            i.batch_code,
            e.node_code,
            coalesce(e.event_type, 'unknown') as event_type,
            e.occurred_at,
            (e.occurred_at at time zone 'Asia/Shanghai')::date as occurred_date,
            i.issue_code is null as is_orphan,
            e.source_batch_id,
            e.source_row,
            e.source_cursor,
            {{ slot_columns() }}
        from events as e
        left join live_issues as i on i.issue_code = e.issue_code
    )

select *
from final
