{#- What a build is: the latest row of ops.build for the schema, written by the publisher before dbt starts. Read in SQL and
not from vars, which would undo partial parsing. -#}
{% macro build_context(column) -%}
    (
        select b.{{ column }}
        from {{ source("ops", "build") }} as b
        where b.schema_name = '{{ target.schema }}'
        order by b.build_id desc
        limit 1
    )
{%- endmacro %}

{% macro slot_columns() -%}
    {#- The last two columns of every mart: the schema it was built in, and the build that wrote the row. -#}
    '{{ target.schema }}'::text as _slot, {{ build_context("build_id") }}::bigint as _build_id
{%- endmacro %}

{% macro check_build_context() -%}
    {#- One clear line instead of empty marts when dbt is started without a build. -#}
    {%- if execute and flags.WHICH in ("run", "build") -%}
        {%- set rows = run_query(
            "select build_id, from_seq from ops.build where schema_name = '"
            ~ target.schema
            ~ "' order by build_id desc limit 1"
        ) -%}
        {%- if rows | length == 0 -%}
            {{
                exceptions.raise_compiler_error(
                    "ops.build has no row for schema "
                    ~ target.schema
                    ~ ": a build is opened by `yingshang build`, which writes its bounds there before it calls dbt"
                )
            }}
        {%- elif flags.FULL_REFRESH and rows.rows[0][1] != 0 -%}
            {{
                exceptions.raise_compiler_error(
                    "--full-refresh with from_seq "
                    ~ rows.rows[0][1]
                    ~ " in build "
                    ~ rows.rows[0][0]
                    ~ " of "
                    ~ target.schema
                    ~ ": a full build starts from seq 0"
                )
            }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
