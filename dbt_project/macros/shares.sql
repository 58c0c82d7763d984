{#- A share, 0 to 1 (a change may be any); empty where there is nothing to share. -#}
{% macro rate(part, whole) -%}
    round(({{ part }})::numeric / nullif({{ whole }}, 0), 6)::numeric(18, 6)
{%- endmacro %}

{#- A mean of whole units, told in units of `per`; empty where there is none. -#}
{% macro average(total, number, per) -%}
    round(({{ total }})::numeric / nullif({{ number }}, 0) / {{ per }}, 2)::numeric(18, 2)
{%- endmacro %}
