with
    latest as ({{ latest_visible("hotline", "expert_session", ["session_code"]) }}),

    final as (
        select
            session_code,
            expert_code,
            {{ shanghai_date("session_date") }} as session_date,
            topic,
            session_kind as session_kind_code,
            {{ version_columns() }}
        from latest
    )

select *
from final
