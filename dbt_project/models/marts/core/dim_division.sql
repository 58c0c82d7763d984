{{
    config(
        indexes=[
            {"columns": ["division_code"], "unique": true},
            {"columns": ["region_code"]},
        ]
    )
}}

with
    divisions as (select * from {{ ref("divisions") }}),

    nodes as (select * from {{ ref("nodes") }}),

    -- the other provinces, where bidders and buyers come from
    other_provinces as (
        select p.code || '000000' as code, p.name, 'province' as level, p.provenance
        from {{ ref("provinces") }} as p
        where not exists (select 1 from divisions as d where d.code = p.code || '000000')
    ),

    all_divisions as (
        select code, name, level, parent_code, valid_from, valid_to, provenance
        from divisions
        union all
        select code, name, level, null, null, null, provenance
        from other_provinces
    ),

    final as (
        select
            d.code as division_code,
            case when d.level in ('province', 'city', 'county') then left(d.code, 6) end as region_code,
            d.name as division_name,
            d.level as division_level,
            d.parent_code,
            case when d.level <> 'province' then city.code end as city_code,
            case when d.level <> 'province' then city.name end as city_name,
            case when d.level not in ('province', 'city') then county.code end as county_code,
            case when d.level not in ('province', 'city') then county.name end as county_name,
            n.node_code is not null as is_node,
            d.valid_from,
            d.valid_to,
            d.provenance,
            {{ slot_columns() }}
        from all_divisions as d
        left join divisions as city on city.code = left(d.code, 4) || '00000000' and city.level = 'city'
        left join divisions as county on county.code = left(d.code, 6) || '000000' and county.level = 'county'
        left join nodes as n on n.node_code || '000000' = d.code
    )

select *
from final
