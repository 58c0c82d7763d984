{#-
History of records by their cursor: when did the source change them. Slowly changing dimensions (type 2) are made from all
visible versions, not from snapshots of the latest, so that a version that arrives late or out of order takes its place, and a
batch that is withdrawn takes its versions away.
-#}
{#- All visible versions of a raw table; of several with one cursor the one that latest_visible would take. -#}
{% macro visible_versions(system, dataset, key_columns) -%}
    select distinct
        on ({% for c in key_columns %}r.{{ c }}, {% endfor %} r.data_timestamp) r.*, v.node_code as _node_code
    from {{ source(system, dataset) }} as r
    inner join {{ ref("visible_batch") }} as v on v.batch_id = r._batch_id
    order by
        {% for c in key_columns %} r.{{ c }}, {% endfor %} r.data_timestamp, v.admitted_seq desc, r._row desc
{%- endmacro %}

{#-
Versions to intervals: a version that says nothing new is left out, each lasts until the next that does. `relation` has
`data_timestamp` and `is_deleted`; a tombstone ends an interval and begins none.
-#}
{% macro history_intervals(relation, key, attributes) -%}
    select
        {{ key }},
        {{ attributes | join(", ") }},
        data_timestamp as valid_from_cursor,
        next_cursor as valid_to_cursor
    from
        (
            select
                *, lead(data_timestamp) over (partition by {{ key }} order by data_timestamp) as next_cursor
            from
                (
                    select
                        *,
                        array[
                            is_deleted::text,
                            {% for a in attributes %} {{ a }}::text{{ ", " if not loop.last }}{% endfor %}
                        ] is distinct from lag(
                            array[
                                is_deleted::text,
                                {% for a in attributes %} {{ a }}::text{{ ", " if not loop.last }}{% endfor %}
                            ]
                        ) over (partition by {{ key }} order by data_timestamp) as is_change
                    from {{ relation }}
                ) as compared
            where is_change
        ) as changes
    where not is_deleted
{%- endmacro %}

{% macro validity_columns() -%}
    {{ shanghai_time("valid_from_cursor") }} as valid_from,
    {{ shanghai_time("valid_to_cursor") }} as valid_to,
    valid_to_cursor is null as is_current
{%- endmacro %}
