{#-
Published figures count by event time up to the end of a day, Shanghai time. Each is computed for two days: its cut-off, and the
night of the build (its current value).
-#}
{% macro last_day(figure, moment) -%}
    {%- if moment == "current" -%} {{ build_context("night") }}
    {%- else -%} (select f.cut_off from {{ ref("published_figures") }} as f where f.figure = '{{ figure }}')
    {%- endif -%}
{%- endmacro %}

{#- Whether a time lies before the end of the figure's last day; that end is computed once, not for every row -#}
{% macro is_by(time, figure, moment) -%}
    {{ time }} < (
        select (d.last_day + 1)::timestamp at time zone 'Asia/Shanghai'
        from (select {{ last_day(figure, moment) }} as last_day) as d
    )
{%- endmacro %}

{#- Whether a month has ended by the figure's last day -#}
{% macro is_month_ended(month_start, figure, moment) -%}
    ({{ month_start }} + interval '1 month')::date <= {{ last_day(figure, moment) }} + 1
{%- endmacro %}

{#- Whether a month lies in the year of the figure's last day, or so many years before, and the same months of that have ended -#}
{% macro is_month_of_year(month_start, figure, moment, years_before) -%}
    date_part('year', {{ month_start }}) + {{ years_before }}
    = date_part('year', {{ last_day(figure, moment) }})
    and ({{ month_start }} + interval '{{ years_before }} years 1 month')::date
    <= {{ last_day(figure, moment) }} + 1
{%- endmacro %}

{#- Rows (figure, value, current_value) from one row that has <figure>_cut_off and <figure>_current -#}
{% macro values_of(relation, figures) -%}
    select v.figure, v.value, v.current_value
    from {{ relation }} as r
    cross join
        lateral(
            values
                {%- for figure in figures %}
                    ('{{ figure }}', r.{{ figure }}_cut_off::numeric, r.{{ figure }}_current::numeric)
                    {{- "," if not loop.last }}
                {%- endfor %}
        ) as v(figure, value, current_value)
{%- endmacro %}
