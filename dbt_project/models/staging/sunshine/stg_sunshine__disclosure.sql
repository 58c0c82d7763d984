with
    latest as ({{ latest_visible("sunshine", "disclosure", ["disclosure_id"]) }}),

    final as (
        select
            disclosure_id,
            village_code,
            category_code,
            item_code,
            title,
            {{ shanghai_time("enter_time") }} as entered_at,
            {{ shanghai_time("review_time") }} as reviewed_at,
            {{ shanghai_time("publish_time") }} as published_at,
            coalesce({{ flag("is_withdrawn") }}, false) as is_withdrawn,
            {{ version_columns() }}
        from latest
    )

select *
from final
