{{
    config(
        materialized="incremental",
        incremental_strategy="replace_keys",
        unique_key=["division_level", "month_start_date", "division_code"],
        on_schema_change="fail",
        meta={"touched_in": "touched_division_month"},
        indexes=[{"columns": ["division_level", "month_start_date", "division_code"], "unique": true}],
    )
}}
-- depends_on: {{ ref("touched_division_month") }}
{%- set measures = [
    "villages",
    "villages_covered",
    "villages_active",
    "disclosures",
    "withdrawn_disclosures",
    "reviewed_disclosures",
    "published_disclosures",
    "timely_disclosures",
    "review_minutes",
    "publish_minutes",
    "participants",
    "satisfied",
    "complaints",
    "reports",
    "petitions_year_before",
    "new_users",
    "problems_opened",
    "problems_resolved",
    "resolution_minutes",
] %}
with
    {% if is_incremental() %} touched as ({{ touched_keys() }}), {% endif %}

    villages as (
        select
            'village' as division_level,
            v.village_code as division_code,
            v.month_start_date,
            {%- for name in measures %} v.{{ name }}{{ "," if not loop.last }} {%- endfor %}
        from {{ ref("int_sunshine__village_months") }} as v
        {% if is_incremental() %}
            inner join
                touched as t
                on t.division_level = 'village'
                and t.month_start_date = v.month_start_date
                and t.division_code = v.village_code
        {% endif %}
    ),

    -- townships first: half a million rows become some ten thousand, which are few enough for the levels
    -- above
    townships as (
        select
            month_start_date,
            township_code,
            county_code,
            city_code,
            {%- for name in measures %} sum({{ name }}) as {{ name }}{{ "," if not loop.last }} {%- endfor %}
        from {{ ref("int_sunshine__village_months") }}
        {% if is_incremental() %} where month_start_date in (select month_start_date from touched) {% endif %}
        group by month_start_date, township_code, county_code, city_code
    ),

    upper_levels as (
        select
            case
                when grouping(township_code) = 0
                then 'township'
                when grouping(county_code) = 0
                then 'county'
                when grouping(city_code) = 0
                then 'city'
                else 'province'
            end as division_level,
            case
                when grouping(township_code, county_code, city_code) = 7
                then
                    (
                        select p.place_code
                        from {{ ref("int_sunshine__places") }} as p
                        where p.division_level = 'province'
                    )
                else coalesce(township_code, county_code, city_code, 'unknown')
            end as division_code,
            month_start_date,
            {%- for name in measures %} sum({{ name }}) as {{ name }}{{ "," if not loop.last }} {%- endfor %}
        from townships
        group by
            grouping sets (
                (month_start_date),
                (month_start_date, city_code),
                (month_start_date, county_code),
                (month_start_date, township_code)
            )
    ),

    all_levels as (
        select *
        from villages
        union all
        select u.*
        from upper_levels as u
        {% if is_incremental() %}
            inner join
                touched as t
                on t.division_level = u.division_level
                and t.month_start_date = u.month_start_date
                and t.division_code = u.division_code
        {% endif %}
    ),

    counted as (
        select
            division_level,
            division_code,
            month_start_date,
            {%- for name in measures %}
                coalesce({{ name }}, 0)::bigint as {{ name }}{{ "," if not loop.last }}
            {%- endfor %}
        from all_levels
    ),

    final as (
        select
            c.division_level,
            c.division_code,
            p.division_name,
            p.parent_code,
            p.county_code,
            p.city_code,
            c.month_start_date,
            p.place_code is null as is_unknown_division,
            c.villages,
            c.villages_covered,
            c.villages_active,
            {{ rate("c.villages_covered", "c.villages") }} as coverage_rate,
            c.disclosures,
            c.withdrawn_disclosures,
            c.reviewed_disclosures,
            c.published_disclosures,
            c.timely_disclosures,
            {{ rate("c.reviewed_disclosures", "c.disclosures") }} as reviewed_rate,
            {{ rate("c.published_disclosures", "c.disclosures") }} as published_rate,
            {{ rate("c.timely_disclosures", "c.published_disclosures") }} as timely_rate,
            {{ average("c.review_minutes", "c.reviewed_disclosures", 60) }} as review_hours,
            {{ average("c.publish_minutes", "c.published_disclosures", 60) }} as publish_hours,
            c.participants,
            c.satisfied,
            {{ rate("c.satisfied", "c.participants") }} as satisfaction_rate,
            c.complaints,
            c.reports,
            c.complaints + c.reports as petitions,
            c.petitions_year_before,
            {{ rate("c.complaints + c.reports - c.petitions_year_before", "c.petitions_year_before") }}
            as petition_change_rate,
            c.new_users,
            c.problems_opened,
            c.problems_resolved,
            {{ average("c.resolution_minutes", "c.problems_resolved", 1440) }} as resolution_days,
            {{ slot_columns() }}
        from counted as c
        left join
            {{ ref("int_sunshine__places") }} as p
            on p.place_code = c.division_code
            and p.division_level = c.division_level
    )

select *
from final
