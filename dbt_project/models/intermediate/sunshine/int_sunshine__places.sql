{{
    config(
        tags=["static"],
        indexes=[{"columns": ["place_code"], "unique": true}],
        post_hook="analyze {{ this }}",
    )
}}

with
    divisions as (select * from {{ ref("divisions") }}),

    final as (
        select
            d.code as place_code,
            d.level as division_level,
            d.name as division_name,
            d.parent_code,
            case d.level when 'village' then d.parent_code when 'township' then d.code end as township_code,
            case
                d.level
                when 'village'
                then township.parent_code
                when 'township'
                then d.parent_code
                when 'county'
                then d.code
            end as county_code,
            case
                d.level
                when 'village'
                then county_of_village.parent_code
                when 'township'
                then county_of_township.parent_code
                when 'county'
                then d.parent_code
                when 'city'
                then d.code
            end as city_code,
            d.valid_from,
            d.valid_to
        from divisions as d
        left join divisions as township on d.level = 'village' and township.code = d.parent_code
        left join divisions as county_of_village on county_of_village.code = township.parent_code
        left join
            divisions as county_of_township
            on d.level = 'township'
            and county_of_township.code = d.parent_code
    )

select *
from final
