{{
    config(
        indexes=[
            {"columns": ["division_level", "division_code", "month_start_date"], "unique": true},
            {"columns": ["month_start_date", "division_level"]},
        ]
    )
}}
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
-- What happened is summed once per village and month, and these half a million rows are rolled up to the
-- other four levels.
with
    disclosures as (
        select
            village_code,
            month_start_date,
            count(*) filter (where not is_withdrawn) as disclosures,
            count(*) filter (where is_withdrawn) as withdrawn_disclosures,
            count(reviewed_at) filter (where not is_withdrawn) as reviewed_disclosures,
            count(published_at) filter (where not is_withdrawn) as published_disclosures,
            count(*) filter (where is_timely and not is_withdrawn) as timely_disclosures,
            coalesce(sum(review_minutes) filter (where not is_withdrawn), 0) as review_minutes,
            coalesce(sum(publish_minutes) filter (where not is_withdrawn), 0) as publish_minutes,
            min(published_at) filter (where not is_withdrawn) as first_published_at
        from {{ ref("fct_disclosure") }}
        group by village_code, month_start_date
    ),

    first_months as (
        select village_code, {{ month_of("min(first_published_at)") }} as first_month
        from disclosures
        group by village_code
    ),

    happenings as (
        select
            village_code,
            month_start_date,
            {{
                counted(
                    measures[3:],
                    {
                        "disclosures": "disclosures",
                        "withdrawn_disclosures": "withdrawn_disclosures",
                        "reviewed_disclosures": "reviewed_disclosures",
                        "published_disclosures": "published_disclosures",
                        "timely_disclosures": "timely_disclosures",
                        "review_minutes": "review_minutes",
                        "publish_minutes": "publish_minutes",
                    },
                )
            }}
        from disclosures
        union all
        select
            village_code,
            month_start_date,
            {{ counted(measures[3:], {"participants": "participants", "satisfied": "satisfied"}) }}
        from {{ ref("fct_evaluation") }}
        union all
        select
            village_code,
            month_start_date,
            {{ counted(measures[3:], {"complaints": "complaints", "reports": "reports"}) }}
        from {{ ref("fct_petition") }}
        union all
        select
            village_code,
            (month_start_date + interval '1 year')::date,
            {{ counted(measures[3:], {"petitions_year_before": "complaints + reports"}) }}
        from {{ ref("fct_petition") }}
        where month_start_date + interval '1 year' <= {{ build_context("night") }}
        union all
        select village_code, month_start_date, {{ counted(measures[3:], {"new_users": "new_users"}) }}
        from {{ ref("fct_registration") }}
        union all
        select village_code, month_start_date, {{ counted(measures[3:], {"problems_opened": "1"}) }}
        from {{ ref("fct_tracked_problem") }}
        union all
        select
            village_code,
            {{ month_of("resolved_at") }},
            {{
                counted(
                    measures[3:],
                    {"problems_resolved": "1", "resolution_minutes": "coalesce(resolution_minutes, 0)"},
                )
            }}
        from {{ ref("fct_tracked_problem") }}
        where resolved_at is not null
    ),

    first_and_last as (
        select
            min(month_start_date) as first_month,
            date_trunc('month', {{ build_context("night") }})::date as last_month
        from happenings
    ),

    -- every village in every month, whatever happened there
    villages as (
        select p.place_code as village_code, m.month::date as month_start_date
        from first_and_last as s
        cross join lateral generate_series(s.first_month, s.last_month, interval '1 month') as m(month)
        inner join
            {{ ref("int_sunshine__places") }} as p
            on coalesce(p.valid_from, '-infinity') < m.month + interval '1 month'
            and coalesce(p.valid_to, 'infinity') > m.month
        where p.division_level = 'village'
    ),

    rows_of_villages as (
        select
            village_code,
            month_start_date,
            max(is_listed) as villages,
            {%- for name in measures[3:] %}
                sum({{ name }})::bigint as {{ name }}{{ "," if not loop.last }}
            {%- endfor %}
        from
            (
                select 0 as is_listed, h.*
                from happenings as h
                union all
                select 1 as is_listed, v.village_code, v.month_start_date, {{ counted(measures[3:]) }}
                from villages as v
            ) as parts
        group by village_code, month_start_date
    ),

    village_months as materialized(
        select
            r.month_start_date,
            r.village_code,
            {{ place_columns() }},
            r.villages,
            (r.villages = 1 and f.first_month <= r.month_start_date)::integer as villages_covered,
            (r.villages = 1 and r.disclosures > 0)::integer as villages_active,
            {%- for name in measures[3:] %} r.{{ name }}{{ "," if not loop.last }} {%- endfor %}
        from rows_of_villages as r {{ join_places("r") }}
        left join first_months as f on f.village_code = r.village_code
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
            {%- for name in measures %}
                sum({{ name }})::bigint as {{ name }}{{ "," if not loop.last }}
            {%- endfor %}
        from village_months
        group by
            grouping sets (
                (month_start_date),
                (month_start_date, city_code),
                (month_start_date, county_code),
                (month_start_date, township_code)
            )
    ),

    all_levels as (
        select
            'village' as division_level,
            village_code as division_code,
            month_start_date,
            {%- for name in measures %}
                {{ name }}::bigint as {{ name }}{{ "," if not loop.last }}
            {%- endfor %}
        from village_months
        union all
        select *
        from upper_levels
    ),

    final as (
        select
            a.division_level,
            a.division_code,
            p.division_name,
            p.parent_code,
            p.county_code,
            p.city_code,
            a.month_start_date,
            p.place_code is null as is_unknown_division,
            a.villages,
            a.villages_covered,
            a.villages_active,
            {{ rate("a.villages_covered", "a.villages") }} as coverage_rate,
            a.disclosures,
            a.withdrawn_disclosures,
            a.reviewed_disclosures,
            a.published_disclosures,
            a.timely_disclosures,
            {{ rate("a.reviewed_disclosures", "a.disclosures") }} as reviewed_rate,
            {{ rate("a.published_disclosures", "a.disclosures") }} as published_rate,
            {{ rate("a.timely_disclosures", "a.published_disclosures") }} as timely_rate,
            {{ average("a.review_minutes", "a.reviewed_disclosures", 60) }} as review_hours,
            {{ average("a.publish_minutes", "a.published_disclosures", 60) }} as publish_hours,
            a.participants,
            a.satisfied,
            {{ rate("a.satisfied", "a.participants") }} as satisfaction_rate,
            a.complaints,
            a.reports,
            a.complaints + a.reports as petitions,
            a.petitions_year_before,
            {{ rate("a.complaints + a.reports - a.petitions_year_before", "a.petitions_year_before") }}
            as petition_change_rate,
            a.new_users,
            a.problems_opened,
            a.problems_resolved,
            {{ average("a.resolution_minutes", "a.problems_resolved", 1440) }} as resolution_days,
            {{ slot_columns() }}
        from all_levels as a
        left join
            {{ ref("int_sunshine__places") }} as p
            on p.place_code = a.division_code
            and p.division_level = a.division_level
    )

select *
from final
