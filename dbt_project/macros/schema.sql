{% macro generate_schema_name(custom_schema_name, node) -%}
    {#- Models, staging views and seeds all live in the schema of the build: a slot, or a schema of its own. -#}
    {{ target.schema }}
{%- endmacro %}

{% macro session_settings() -%}
    {#-
    Settings of a model's session (dbt opens one per model). random_page_cost keeps the touched keys on indexes, so that a
    night's time does not grow with history. synchronous_commit: a crash fails the build anyway, and the publisher's own
    commit, which follows, is synchronous.
    -#}
    set random_page_cost = 1.1
    ;
    set jit = off
    ;
    set work_mem = '64MB'
    ;
    set synchronous_commit = off
    ;
    set client_connection_check_interval = '1s'
    ;
    set timezone = 'Asia/Shanghai'
{%- endmacro %}
