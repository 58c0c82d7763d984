{{
    config(
        materialized="incremental",
        incremental_strategy="replace_keys",
        unique_key="issue_code",
        on_schema_change="fail",
        meta={"touched": "issue", "touched_through": {"batch_code": "supervision_batch"}},
        indexes=[
            {"columns": ["issue_code"], "unique": true},
            {"columns": ["batch_code"]},
            {"columns": ["node_code", "environment_code"]},
        ],
    )
}}
-- depends_on: {{ ref("touched_key") }}
with
    {% if is_incremental() %} touched as ({{ touched_keys() }}), {% endif %}

    all_issues as ({{ of_touched_keys(ref("stg_supervision__issue"), "issue_code") }}),

    issues as (select * from all_issues where not is_deleted),

    events as ({{ of_touched_keys(ref("fct_issue_event"), "issue_code") }}),

    outcomes as ({{ of_touched_keys(ref("fct_issue_outcome"), "issue_code") }}),

    batch_keys as (select batch_code as key from issues where batch_code is not null group by batch_code),

    batches as ({{ of_touched_keys(ref("stg_supervision__batch"), "batch_code", keys="batch_keys") }}),

    live_batches as (select batch_code from batches where not is_deleted),

    -- the order of events is that of their times, then of their ids; an event without a time has no place
    -- in it
    events_of_issues as (
        select
            issue_code,
            min(occurred_at) filter (where event_type = 'assigned') as assigned_event_at,
            min(occurred_at) filter (where event_type = 'accepted') as accepted_at,
            min(occurred_at) filter (where event_type = 'handling') as first_handling_at,
            max(occurred_at) filter (where event_type = 'submitted') as submitted_at,
            max(occurred_at) filter (where event_type = 'verified') as verified_at,
            min(occurred_at) filter (where event_type = 'closed') as first_closed_at,
            max(occurred_at) filter (where event_type = 'closed') as closed_at,
            max(occurred_at) filter (where event_type = 'reopened') as reopened_at,
            max(occurred_at) as last_event_at,
            count(*) as events,
            count(*) filter (where event_type = 'extended') as extensions,
            count(*) filter (where event_type = 'submitted') as submissions,
            count(*) filter (where event_type = 'verified') as verifications,
            count(*) filter (where event_type = 'closed') as closures,
            count(*) filter (where event_type = 'reopened') as reopenings,
            (
                array_agg(event_type order by occurred_at desc, event_id desc) filter (
                    where occurred_at is not null
                )
            )[1] as last_event_type
        from events
        group by issue_code
    ),

    outcomes_of_issues as (select issue_code, count(*) as outcomes from outcomes group by issue_code),

    judged as (
        select
            i.*,
            e.assigned_event_at,
            e.accepted_at,
            e.first_handling_at,
            e.submitted_at,
            e.verified_at,
            e.closed_at,
            e.reopened_at,
            e.last_event_at,
            coalesce(e.last_event_type, 'assigned') as status,
            coalesce(e.events, 0) as events,
            coalesce(e.extensions, 0) as extensions,
            coalesce(e.submissions, 0) as submissions,
            coalesce(e.verifications, 0) as verifications,
            coalesce(e.closures, 0) as closures,
            coalesce(e.reopenings, 0) as reopenings,
            coalesce(o.outcomes, 0) as outcomes,
            coalesce(e.last_event_type = 'closed' and e.verified_at is not null, false) as is_resolved,
            coalesce(e.last_event_type = 'closed' and e.verified_at is null, false) as is_closed_unverified,
            coalesce(
                e.first_closed_at < coalesce(i.assigned_at, e.assigned_event_at), false
            ) as is_out_of_order
        from issues as i
        left join events_of_issues as e on e.issue_code = i.issue_code
        left join outcomes_of_issues as o on o.issue_code = i.issue_code
    ),

    final as (
        select
            j.issue_code,
            j.batch_code,
            j.node_code,
            j.environment_code,
            coalesce(n.name, 'unknown') as environment,
            j.source_code,
            coalesce(s.name, 'unknown') as source,
            j.title,
            j.lead_department,
            j.assigned_at,
            (j.assigned_at at time zone 'Asia/Shanghai')::date as assigned_date,
            j.due_at,
            j.assigned_event_at,
            j.accepted_at,
            j.first_handling_at,
            j.submitted_at,
            j.verified_at,
            j.closed_at,
            j.reopened_at,
            j.last_event_at,
            case when j.is_resolved then j.last_event_at end as resolved_at,
            j.status,
            j.events,
            j.extensions,
            j.submissions,
            j.verifications,
            j.closures,
            j.reopenings,
            j.outcomes,
            j.is_resolved,
            j.is_closed_unverified,
            j.is_resolved and coalesce(j.last_event_at > j.due_at, false) as is_resolved_late,
            j.is_out_of_order,
            n.code is null as is_unknown_environment,
            d.code is null as is_unknown_division,
            b.batch_code is null as is_orphan,
            j.source_node_code,
            j.source_batch_id,
            j.source_row,
            j.source_cursor,
            {{ slot_columns() }}
        from judged as j
        left join live_batches as b on b.batch_code = j.batch_code
        left join {{ ref("issue_environments") }} as n on n.code = j.environment_code
        left join {{ ref("issue_sources") }} as s on s.code = j.source_code
        left join {{ ref("divisions") }} as d on d.code = j.node_code || '000000'
    )

select *
from final
