with
    latest as ({{ latest_visible("supervision", "issue", ["issue_code"]) }}),

    final as (
        select
            issue_code,
            batch_code,
            node_code,
            environment_code,
            source_code,
            title,
            lead_dept as lead_department,
            {{ shanghai_time("assign_time") }} as assigned_at,
            {{ shanghai_time("due_time") }} as due_at,
            {{ version_columns(delivered_by="source_node_code") }}
        from latest
    )

select *
from final
