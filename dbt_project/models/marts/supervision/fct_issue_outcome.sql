{{
    config(
        materialized="incremental",
        incremental_strategy="replace_keys",
        unique_key="outcome_id",
        on_schema_change="fail",
        meta={"touched": "issue_outcome", "touched_through": {"issue_code": "issue"}},
        indexes=[
            {"columns": ["outcome_id"], "unique": true},
            {"columns": ["issue_code"]},
            {"columns": ["node_code", "occurred_at"]},
        ],
    )
}}
-- depends_on: {{ ref("touched_key") }}
with
    {% if is_incremental() %} touched as ({{ touched_keys() }}), {% endif %}

    all_outcomes as ({{ of_touched_keys(ref("stg_supervision__issue_outcome"), "outcome_id") }}),

    outcomes as (select * from all_outcomes where not is_deleted),

    issue_keys as (select issue_code as key from outcomes group by issue_code),

    issues as ({{ of_touched_keys(ref("stg_supervision__issue"), "issue_code", keys="issue_keys") }}),

    live_issues as (select issue_code, batch_code from issues where not is_deleted),

    final as (
        select
            o.outcome_id,
            o.issue_code,
            i.batch_code,
            o.node_code,
            coalesce(t.outcome_type, 'unknown') as outcome_type,
            o.amount_yuan,
            o.quantity,
            o.responsible_kind_code,
            coalesce(r.name, 'unknown') as responsible_kind,
            o.occurred_at,
            (o.occurred_at at time zone 'Asia/Shanghai')::date as occurred_date,
            i.issue_code is null as is_orphan,
            o.source_batch_id,
            o.source_row,
            o.source_cursor,
            {{ slot_columns() }}
        from outcomes as o
        left join live_issues as i on i.issue_code = o.issue_code
        left join {{ ref("issue_outcome_types") }} as t on t.outcome_type = o.outcome_type
        left join {{ ref("responsible_kinds") }} as r on r.code = o.responsible_kind_code
    )

select *
from final
