{{ config(tags=["static"], post_hook="analyze {{ this }}") }}

with
    rules as (
        select
            source_code,
            coalesce(region_code, '') as region_code,
            coalesce(to_char(valid_from, 'YYYYMMDD'), '00000000') as valid_from_day,
            coalesce(to_char(valid_to, 'YYYYMMDD'), '99999999') as valid_to_day,
            type_code
        from {{ ref("deal_type_map") }}
    ),

    -- the rules that speak of a node: its own, its city's, everyone's
    rules_of_nodes as (
        select
            n.node_code,
            r.source_code,
            r.valid_from_day,
            r.valid_to_day,
            r.type_code,
            case r.region_code when n.node_code then 3 when n.parent_code then 2 else 1 end as specificity
        from {{ ref("nodes") }} as n
        inner join rules as r on r.region_code in (n.node_code, n.parent_code, '')
    ),

    boundaries as (
        select node_code, source_code, valid_from_day as day
        from rules_of_nodes
        union
        select node_code, source_code, valid_to_day
        from rules_of_nodes
    ),

    segments as (
        select
            node_code,
            source_code,
            day as valid_from_day,
            lead(day) over (partition by node_code, source_code order by day) as valid_to_day
        from boundaries
    ),

    -- the most specific rule of each segment
    resolved as (
        select distinct
            on (s.node_code, s.source_code, s.valid_from_day)
            s.node_code,
            s.source_code,
            s.valid_from_day,
            s.valid_to_day,
            r.type_code
        from segments as s
        inner join
            rules_of_nodes as r
            on r.node_code = s.node_code
            and r.source_code = s.source_code
            and r.valid_from_day <= s.valid_from_day
            and r.valid_to_day >= s.valid_to_day
        where s.valid_to_day is not null
        order by s.node_code, s.source_code, s.valid_from_day, r.specificity desc
    ),

    final as (
        select
            r.node_code,
            r.source_code as source_type_code,
            r.valid_from_day,
            r.valid_to_day,
            t.type_code,
            t.industry_code,
            t.national_class
        from resolved as r
        inner join {{ ref("transaction_types") }} as t on t.type_code = r.type_code
    )

select *
from final
