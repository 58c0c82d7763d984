{#-
Touched keys of trading: project (tender project code), notice (URL) and lot (lot code; for a notice that names no lot, its
URL). A notice touches every lot that any of its versions has ever named, visible or not.
-#}
{% macro touched_keys_of_trading() -%}
    select 'project' as kind, key
    from ({{ keys_of_touched_batches("trading", "project", "tender_project_code") }}) as projects
    union all
    select 'notice' as kind, key
    from ({{ keys_of_touched_batches("trading", "notice", "url") }}) as notices
    union all
    select 'lot' as kind, key
    from
        (
            select coalesce(nullif(trim(named.lot_code), ''), k.key) as key
            from ({{ keys_of_touched_batches("trading", "notice", "url") }}) as k
            cross join
                lateral(
                    select n.bid_section_codes
                    from {{ source("trading", "notice") }} as n
                    where n.url = k.key
                    offset 0
                ) as r
            left join lateral unnest(string_to_array(r.bid_section_codes, ';')) as named(lot_code) on true
            {%- for dataset in ["lot", "bid", "result", "contract", "performance"] %}
                union
                {{ keys_of_touched_batches("trading", dataset, "bid_section_code") }}
            {%- endfor %}
        ) as lots
{%- endmacro %}
