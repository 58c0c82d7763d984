{{ config(indexes=[{"columns": ["division_code"]}]) }}

with
    divisions as (select * from {{ ref("divisions") }}),

    final as (
        select
            code as division_code,
            case when level in ('province', 'city', 'county') then left(code, 6) end as region_code,
            name as division_name,
            level as division_level,
            parent_code,
            valid_from,
            valid_to,
            coalesce(valid_from <= {{ build_context("night") }}, true)
            and coalesce(valid_to > {{ build_context("night") }}, true) as is_current,
            provenance,
            {{ slot_columns() }}
        from divisions
    )

select *
from final
