{{
    config(
        materialized="incremental",
        incremental_strategy="replace_keys",
        unique_key="village_month_key",
        on_schema_change="fail",
        meta={"touched": "registration"},
        indexes=[
            {"columns": ["village_month_key"], "unique": true},
            {"columns": ["month_start_date", "village_code"]},
        ],
    )
}}
-- depends_on: {{ ref("touched_key") }}
with
    {% if is_incremental() %} touched as ({{ touched_keys() }}), {% endif %}

    counts as ({{ of_touched_village_months(ref("stg_sunshine__registration")) }}),

    final as (
        select
            c.village_code || '/' || c.stat_month as village_month_key,
            c.village_code,
            {{ place_columns() }},
            c.month_start_date,
            c.new_users,
            c.node_code,
            c.source_batch_id,
            c.source_row,
            c.source_cursor,
            {{ slot_columns() }}
        from counts as c {{ join_places("c") }}
        where not c.is_deleted
    )

select *
from final
