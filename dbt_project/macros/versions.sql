{#-
The latest visible version of each key of a raw table: greatest (cursor, admitting seq, row). Tombstones are versions like any
other. The key columns stand in DISTINCT ON, so that a condition on them reaches raw's index. `_node_code` is the node that
delivered the version: a dataset may have a NODE_CODE of its own, which says something else.
-#}
{% macro latest_visible(system, dataset, key_columns) -%}
    select distinct
        on ({% for c in key_columns %}r.{{ c }}{{ ", " if not loop.last }}{% endfor %}) r.*,
        v.node_code as _node_code
    from {{ source(system, dataset) }} as r
    inner join {{ ref("visible_batch") }} as v on v.batch_id = r._batch_id
    order by
        {% for c in key_columns %} r.{{ c }}, {% endfor %} r.data_timestamp desc,
        v.admitted_seq desc,
        r._row desc
{%- endmacro %}

{#- Columns that every staging view ends with: place and time of the version, for tracing. -#}
{% macro version_columns(delivered_by="node_code") -%}
    coalesce({{ flag("is_delete") }}, false) as is_deleted,
    _node_code as {{ delivered_by }},
    _batch_id as source_batch_id,
    _row as source_row,
    data_timestamp as source_cursor
{%- endmacro %}

{#- From a unified deal code type(3)-USCC(18)-yyyyMMdd-seq(6)-check; the day stays text, for it may be no real date. -#}
{% macro deal_code_columns(column="unified_deal_code") -%}
    {{ column }} as deal_code, {{ deal_code_parts(column) }}
{%- endmacro %}

{% macro deal_code_parts(column) -%}
    left({{ column }}, 3) as source_type_code, split_part({{ column }}, '-', 3) as deal_day
{%- endmacro %}

{#- Joins the type of a deal as its node meant it on that day. At most one row matches. -#}
{% macro join_type(alias) -%}
    left join
        {{ ref("int_trading__types_resolved") }} as types
        on types.node_code = {{ alias }}.node_code
        and types.source_type_code = {{ alias }}.source_type_code
        and types.valid_from_day <= {{ alias }}.deal_day
        and types.valid_to_day > {{ alias }}.deal_day
{%- endmacro %}

{% macro type_columns() -%}
    coalesce(types.type_code, 'unknown') as type_code,
    coalesce(types.industry_code, 'unknown') as industry_code
{%- endmacro %}
