{#-
The strategy replace_keys: delete the rows of the touched keys, insert what they are now. A key that has vanished stays out.
(The statements stand in strings because sqlfmt does not read DML.)
-#}
{% macro get_incremental_replace_keys_sql(arg_dict) %}
    {%- set columns = arg_dict["dest_columns"] | map(attribute="quoted") | join(", ") -%}
    {{ "delete from %s as t using" % arg_dict["target_relation"] }} ({{ touched_keys() }}) as k
    where {{ is_touched("t", arg_dict["unique_key"]) }}
    ;
    {{ "insert into %s (%s)" % (arg_dict["target_relation"], columns) }}
    select {{ columns }}
    from {{ arg_dict["temp_relation"] }}
{% endmacro %}

{#- Whether a row is of the touched key k: a key of one column stands in k.key, one of several under their own names. -#}
{% macro is_touched(alias, unique_key) -%}
    {%- if unique_key is string -%} {{ alias }}.{{ unique_key }} = k.key
    {%- else -%}
        {%- for column in unique_key %} {{ alias }}.{{ column }} = k.{{ column }} {{ "and" if not loop.last }}
        {%- endfor %}
    {%- endif -%}
{%- endmacro %}
