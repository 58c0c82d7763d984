{{
    config(
        indexes=[{"columns": ["kind", "key"], "unique": true}],
        post_hook="analyze {{ this }}",
    )
}}
{%- set lot_datasets = ["lot", "bid", "result", "contract", "performance"] %}

with
    touched_batches as (
        select *
        from {{ ref("touched_batch") }}
        where system = 'trading' {% if flags.FULL_REFRESH %} and false {% endif %}
    ),

    projects as (
        select r.tender_project_code as key
        from touched_batches as b
        inner join {{ source("trading", "project") }} as r on r._batch_id = b.batch_id
        where b.dataset = 'project'
        group by r.tender_project_code
    ),

    notices as (
        select r.url as key
        from touched_batches as b
        inner join {{ source("trading", "notice") }} as r on r._batch_id = b.batch_id
        where b.dataset = 'notice'
        group by r.url
    ),

    -- every lot that any version of a touched notice has ever named, visible or not
    lots_of_notices as (
        select coalesce(nullif(trim(named.lot_code), ''), n.key) as key
        from notices as n
        inner join {{ source("trading", "notice") }} as r on r.url = n.key
        left join lateral unnest(string_to_array(r.bid_section_codes, ';')) as named(lot_code) on true
    ),

    lots as (
        select key
        from lots_of_notices
        {%- for dataset in lot_datasets %}
            union
            select r.bid_section_code
            from touched_batches as b
            inner join {{ source("trading", dataset) }} as r on r._batch_id = b.batch_id
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
