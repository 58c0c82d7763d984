with
    latest as ({{ latest_visible("hotline", "callback", ["callback_id"]) }}),

    final as (
        select
            callback_id,
            order_no,
            {{ shanghai_time("callback_time") }} as called_back_at,
            {{ flag("is_solved") }} as is_solved,
            nullif(satisfaction_code, '') as satisfaction_code,
            reason_code,
            {{ version_columns() }}
        from latest
    )

select *
from final
