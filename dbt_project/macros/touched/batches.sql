{#-
The keys that stand in the touched batches of a dataset, each once; none in a full build. Each batch is looked up by index
(lateral with offset 0), whatever raw's statistics say of its size: a night's time must not grow with history.
-#}
{% macro keys_of_touched_batches(system, dataset, column) -%}
    select r.key
    from {{ ref("touched_batch") }} as b
    cross join
        lateral(
            select v.{{ column }} as key
            from {{ source(system, dataset) }} as v
            where v._batch_id = b.batch_id
            offset 0
        ) as r
    where
        b.system = '{{ system }}' and b.dataset = '{{ dataset }}'
        {% if flags.FULL_REFRESH %} and false {% endif %}
    group by r.key
{%- endmacro %}

{#-
The parents that any version of the touched keys of a dataset has ever named, visible or not: a child that moves touches the
parent it leaves as well.
-#}
{% macro parents_of_touched_batches(system, dataset, column, parent) -%}
    select r.key
    from ({{ keys_of_touched_batches(system, dataset, column) }}) as k
    cross join
        lateral(
            select v.{{ parent }} as key
            from {{ source(system, dataset) }} as v
            where v.{{ column }} = k.key
            offset 0
        ) as r
    where r.key is not null
    group by r.key
{%- endmacro %}
