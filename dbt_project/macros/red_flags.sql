{#- The day of a time, Asia/Shanghai -#}
{% macro shanghai_day(time) -%} ({{ time }} at time zone 'Asia/Shanghai')::date {%- endmacro %}

{#- By which share of itself an amount is exceeded; negative where it is not reached, empty where either is missing. -#}
{% macro share_above(amount, base) -%}({{ amount }} - {{ base }}) / nullif({{ base }}, 0) {%- endmacro %}

{#- The reason of a hit from its template in the seed `red_flags`, whose description says what stands at which place. -#}
{% macro red_flag_reason(template, none_yet) -%}
    format(
        {{ template }},
        {{ plain_number("measured") }},
        {{ plain_number("threshold") }},
        from_date,
        to_date,
        {{ plain_number("base_yuan") }},
        {{ plain_number("other_yuan") }},
        {{ plain_number("100 * measured") }} || '%',
        {{ plain_number("100 * threshold") }} || '%',
        cases,
        parts,
        coalesce(to_date::text, '{{ none_yet }}')
    )
{%- endmacro %}

{#- Two decimal places, no trailing zeros -#}
{% macro plain_number(number) -%} trim_scale(round(({{ number }})::numeric, 2)) {%- endmacro %}
