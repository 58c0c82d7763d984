{{
    config(
        materialized="incremental",
        incremental_strategy="replace_keys",
        unique_key="disclosure_id",
        on_schema_change="fail",
        meta={"touched": "disclosure"},
        indexes=[
            {"columns": ["disclosure_id"], "unique": true},
            {"columns": ["month_start_date", "village_code"]},
            {"columns": ["village_code", "published_at"]},
        ],
    )
}}
-- depends_on: {{ ref("touched_key") }}
with
    {% if is_incremental() %} touched as ({{ touched_keys() }}), {% endif %}

    disclosures as ({{ of_touched_keys(ref("stg_sunshine__disclosure"), "disclosure_id") }}),

    final as (
        select
            d.disclosure_id,
            d.village_code,
            {{ place_columns() }},
            {{
                month_of(
                    disclosure_time("d.entered_at", "d.reviewed_at", "d.published_at", "d.source_cursor")
                )
            }} as month_start_date,
            coalesce(d.category_code, 'unknown') as category_code,
            d.item_code,
            d.title,
            d.entered_at,
            d.reviewed_at,
            d.published_at,
            {{ minutes_between("d.entered_at", "d.reviewed_at") }} as review_minutes,
            {{ minutes_between("d.entered_at", "d.published_at") }} as publish_minutes,
            d.is_withdrawn,
            d.published_at <= d.entered_at + interval '{{ var("disclosure_timely_days") }} days' as is_timely,
            d.node_code,
            d.source_batch_id,
            d.source_row,
            d.source_cursor,
            {{ slot_columns() }}
        from disclosures as d {{ join_places("d") }}
        where not d.is_deleted
    )

select *
from final
