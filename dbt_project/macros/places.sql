{#-
The divisions that a village lies in, by the hierarchy of the division list. A code that the list does not have keeps its row: its
township, county and city are those that its prefix names, as far as they are known.
-#}
{% macro join_places(alias) -%}
    left join
        {{ ref("int_sunshine__places") }} as village
        on village.place_code = {{ alias }}.village_code
        and village.division_level = 'village'
    {%- for level, digits in [("township", 9), ("county", 6), ("city", 4)] %}
        left join
            {{ ref("int_sunshine__places") }} as {{ level }}
            on village.place_code is null
            and {{ level }}.place_code = rpad(left({{ alias }}.village_code, {{ digits }}), 12, '0')
            and {{ level }}.division_level = '{{ level }}'
    {%- endfor %}
{%- endmacro %}

{% macro place_columns(levels=none) -%}
    {%- for level in levels or ["township", "county", "city"] %}
        coalesce(village.{{ level }}_code, {{ level }}.{{ level }}_code) as {{ level }}_code
        {{- "," if not loop.last or not levels }}
    {%- endfor %}
    {%- if not levels %} village.place_code is null as is_unknown_village {%- endif %}
{%- endmacro %}

{#- Touched keys of counts per village and month: village_code/yyyyMM. Both halves stand in raw's index. -#}
{% macro of_touched_village_months(relation) -%}
    {{
        of_touched(
            relation,
            "r.village_code = split_part(k.key, '/', 1) and r.stat_month = split_part(k.key, '/', 2)",
        )
    }}
{%- endmacro %}

{#- First day of the month of a time, Asia/Shanghai -#}
{% macro month_of(time) -%} date_trunc('month', {{ time }} at time zone 'Asia/Shanghai')::date {%- endmacro %}

{#- Whole minutes from one time to another; empty while one of them is -#}
{% macro minutes_between(first, last) -%}
    (extract(epoch from {{ last }} - {{ first }}) / 60)::bigint
{%- endmacro %}

{#- The time that a disclosure is counted by: when it was entered, or what is known instead -#}
{% macro disclosure_time(entered_at, reviewed_at, published_at, cursor) -%}
    coalesce({{ entered_at }}, {{ reviewed_at }}, {{ published_at }}, {{ shanghai_time(cursor) }})
{%- endmacro %}

{#- The time that a problem is counted by as opened -#}
{% macro problem_time(opened_at, resolved_at, cursor) -%}
    coalesce({{ opened_at }}, {{ resolved_at }}, {{ shanghai_time(cursor) }})
{%- endmacro %}

{#- The months that coverage tells of: from the first one with data to that of the build. One row. -#}
{% macro months_of_coverage() -%}
    select
        least(
            {%- for fact in ["disclosure", "registration", "evaluation", "petition", "tracked_problem"] %}
                (select min(month_start_date) from {{ ref("fct_" ~ fact) }}) {{ "," if not loop.last }}
            {%- endfor %}
        ) as first_month,
        date_trunc('month', {{ build_context("night") }})::date as last_month
{%- endmacro %}

{#-
The rows of a relation for the touched villages and months (all of them in a full build), each looked up by index. `years_back`:
for a touched month the rows of so many years before.
-#}
{% macro at_touched_months(relation, month="month_start_date", years_back=0) -%}
    {%- set then = "(k.month_start_date - interval '" ~ years_back ~ " years')::date" -%}
    {{ of_touched(relation, "r.village_code = k.village_code and r." ~ month ~ " = " ~ then) }}
{%- endmacro %}

{#- The month from which each of some villages is covered: that of its first publication, by index; empty before it. -#}
{% macro first_months_covered(villages) -%}
    select v.village_code, {{ month_of("f.published_at") }} as first_month
    from (select distinct village_code from {{ villages }}) as v
    left join
        lateral(
            select d.published_at
            from {{ ref("fct_disclosure") }} as d
            where d.village_code = v.village_code and d.published_at is not null and not d.is_withdrawn
            order by d.published_at
            limit 1
        ) as f
        on true
{%- endmacro %}

{#-
For a full build of a model that joins whole facts by village and month: with random_page_cost as low as the touched keys need it,
the planner would look up half a million pairs by index, one by one.
-#}
{% macro without_indexes_when_full() -%}
    {{ "" if is_incremental() else "set enable_indexscan = off" }}
{%- endmacro %}
