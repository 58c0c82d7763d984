with
    latest as ({{ latest_visible("hotline", "work_order", ["order_no"]) }}),

    final as (
        select
            order_no,
            class_code,
            channel_code,
            content_length,
            caller_name as caller_name_token,
            caller_phone as caller_phone_token,
            division_code as region_code,
            dept_name as department_name,
            {{ shanghai_time("accept_time") }} as accepted_at,
            {{ shanghai_time("dispatch_time") }} as dispatched_at,
            {{ shanghai_time("due_time") }} as due_at,
            {{ shanghai_time("first_contact_time") }} as first_contact_at,
            {{ shanghai_time("close_time") }} as closed_at,
            status_name,
            {{ version_columns() }}
        from latest
    )

select *
from final
