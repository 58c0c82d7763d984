with
    latest as ({{ latest_visible("supervision", "issue_event", ["event_id"]) }}),

    final as (
        select
            event_id,
            issue_code,
            event_type,
            {{ shanghai_time("event_time") }} as occurred_at,
            handler_name as handler_name_token,
            {{ version_columns() }}
        from latest
    )

select *
from final
