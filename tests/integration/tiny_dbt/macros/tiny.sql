{% macro generate_schema_name(custom_schema_name, node) -%} {{ target.schema }} {%- endmacro %}

{% macro should_full_refresh() %}
    {%- set rebuilt = env_var("YINGSHANG_DBT_REBUILD", "").split() if execute else [] -%}
    {% do return(flags.FULL_REFRESH or model.name in rebuilt) %}
{% endmacro %}

{% macro build_context(column) -%}
    (select b.{{ column }} from ops.build as b where b.schema_name = '{{ target.schema }}' order by b.build_id desc limit 1)
{%- endmacro %}

{% macro slot_columns() -%}
    '{{ target.schema }}'::text as _slot, {{ build_context("build_id") }}::bigint as _build_id
{%- endmacro %}
