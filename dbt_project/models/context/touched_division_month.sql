{{
    config(
        indexes=[{"columns": ["division_level", "month_start_date", "division_code"], "unique": true}],
        post_hook="analyze {{ this }}",
    )
}}

with
    villages as (
        select t.village_code, t.month_start_date, {{ place_columns(["township", "county", "city"]) }}
        from {{ ref("touched_village_month") }} as t {{ join_places("t") }}
    ),

    final as (
        select 'village' as division_level, village_code as division_code, month_start_date
        from villages
        {%- for level in ["township", "county", "city"] %}
            union
            select '{{ level }}', coalesce({{ level }}_code, 'unknown'), month_start_date
            from villages
        {%- endfor %}
        union
        select 'province', p.place_code, v.month_start_date
        from (select distinct month_start_date from villages) as v
        cross join {{ ref("int_sunshine__places") }} as p
        where p.division_level = 'province'
    )

select *
from final
