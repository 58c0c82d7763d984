{#-
Incremental builds. A model config(meta={'touched': KIND, 'touched_through': {COLUMN: KIND}}) is rebuilt for the keys that a
build touches: all keys of kind KIND in touched_key, and the keys of those rows of the present table whose COLUMN is a touched
key of another kind (rows that read a parent which has changed). With {'touched_in': MODEL} the touched keys are the rows of that
model, which has the columns of the unique key.
-#}
{% macro touched_keys() -%}
    {%- set meta = config.get("meta") or {} -%}
    {%- if meta.get("touched_in") -%} select * from {{ ref(meta["touched_in"]) }}
    {%- else -%} {{ touched_keys_of_kind(meta) }}
    {%- endif -%}
{%- endmacro %}

{% macro touched_keys_of_kind(meta) -%}
    select k.key
    from {{ ref("touched_key") }} as k
    where k.kind = '{{ meta["touched"] }}'
    {%- for column, kind in meta.get("touched_through", {}).items() %}
        union
        select p.{{ config.get("unique_key") }}
        from {{ ref("touched_key") }} as k
        inner join {{ this }} as p on p.{{ column }} = k.key
        where k.kind = '{{ kind }}'
    {%- endfor %}
{%- endmacro %}

{#-
The rows r of a relation that meet a condition for each touched key k.
The lateral with offset 0 makes the planner look up each key by index, where a semi-join would sort all versions first.
-#}
{% macro looked_up(relation, condition, keys="touched") -%}
    select s.*
    from {{ keys }} as k
    cross join lateral(select * from {{ relation }} as r where {{ condition }} offset 0) as s
{%- endmacro %}

{#- The rows of a relation that a build looks at: all of them in a full build, those of the touched keys in an incremental one. -#}
{% macro of_touched(relation, condition, keys="touched") -%}
    {%- if is_incremental() -%} {{ looked_up(relation, condition, keys) }}
    {%- else -%} select * from {{ relation }}
    {%- endif -%}
{%- endmacro %}

{% macro of_touched_keys(relation, key, keys="touched") -%}
    {{ of_touched(relation, "r." ~ key ~ " = k.key", keys) }}
{%- endmacro %}

{#- Full when dbt is told so, or when the publisher names the model as changed since the slot's last build. -#}
{% macro should_full_refresh() %}
    {%- set rebuilt = env_var("YINGSHANG_DBT_REBUILD", "").split() if execute else [] -%}
    {% do return(flags.FULL_REFRESH or model.name in rebuilt) %}
{% endmacro %}

{#- A table as the slot's last build left it, for a model that comes before it; none in a full build, or if it is made anew. -#}
{% macro coverage_before() %}
    {%- set name = "int_sunshine__village_months" -%}
    {%- set rebuilt = env_var("YINGSHANG_DBT_REBUILD", "").split() -%}
    {%- if execute and not flags.FULL_REFRESH and name not in rebuilt -%}
        {%- do return(adapter.get_relation(target.database, target.schema, name)) -%}
    {%- endif -%}
    {%- do return(none) -%}
{% endmacro %}
