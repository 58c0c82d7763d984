{{ config(indexes=[{"columns": ["kind", "key"], "unique": true}], post_hook="analyze {{ this }}") }}
{%- set lot_datasets = ["lot", "bid", "result", "contract", "performance"] %}

-- Each batch and each notice is looked up by index (lateral with offset 0), whatever raw's statistics say
-- of their size:
-- a night's time must not grow with history.
with
    touched_batches as (
        select *
        from {{ ref("touched_batch") }}
        where system = 'trading' {% if flags.FULL_REFRESH %} and false {% endif %}
    ),

    projects as (
        select r.key
        from touched_batches as b
        cross join
            lateral(
                select p.tender_project_code as key
                from {{ source("trading", "project") }} as p
                where p._batch_id = b.batch_id
                offset 0
            ) as r
        where b.dataset = 'project'
        group by r.key
    ),

    notices as (
        select r.key
        from touched_batches as b
        cross join
            lateral(
                select n.url as key
                from {{ source("trading", "notice") }} as n
                where n._batch_id = b.batch_id
                offset 0
            ) as r
        where b.dataset = 'notice'
        group by r.key
    ),

    -- every lot that any version of a touched notice has ever named, visible or not
    lots_of_notices as (
        select coalesce(nullif(trim(named.lot_code), ''), k.key) as key
        from notices as k
        cross join
            lateral(
                select n.bid_section_codes
                from {{ source("trading", "notice") }} as n
                where n.url = k.key
                offset 0
            ) as r
        left join lateral unnest(string_to_array(r.bid_section_codes, ';')) as named(lot_code) on true
    ),

    lots as (
        select key
        from lots_of_notices
        {%- for dataset in lot_datasets %}
            union
            select r.key
            from touched_batches as b
            cross join
                lateral(
                    select c.bid_section_code as key
                    from {{ source("trading", dataset) }} as c
                    where c._batch_id = b.batch_id
                    offset 0
                ) as r
            where b.dataset = '{{ dataset }}'
        {%- endfor %}
    ),

    final as (
        select 'project' as kind, key
        from projects
        union all
        select 'notice' as kind, key
        from notices
        union all
        select 'lot' as kind, key
        from lots
    )

select *
from final
