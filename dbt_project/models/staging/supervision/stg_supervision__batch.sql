with
    latest as ({{ latest_visible("supervision", "batch", ["batch_code"]) }}),

    final as (
        select
            batch_code,
            batch_no::int as batch_no,
            batch_name,
            {{ shanghai_time("issued_time") }} as issued_at,
            {{ shanghai_time("due_time") }} as due_at,
            {{ version_columns() }}
        from latest
    )

select *
from final
