{{ config(indexes=[{"columns": ["division_level", "month_start_date", "division_code"], "unique": true}]) }}
{%- set facts = [
    "fct_disclosure",
    "fct_registration",
    "fct_evaluation",
    "fct_petition",
    "fct_tracked_problem",
] %}
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
-- Everything is brought to one row per village and month first; half a million of these are rolled up to
-- the other four levels. Minutes are summed as float8: whole numbers, so exact, and faster than numeric.
with
    disclosures as (
        select
            village_code,
            month_start_date,
            (count(*) filter (where not is_withdrawn))::integer as disclosures,
            (count(*) filter (where is_withdrawn))::integer as withdrawn_disclosures,
            (count(reviewed_at) filter (where not is_withdrawn))::integer as reviewed_disclosures,
            (count(published_at) filter (where not is_withdrawn))::integer as published_disclosures,
            (count(*) filter (where is_timely and not is_withdrawn))::integer as timely_disclosures,
            sum(review_minutes::float8) filter (where not is_withdrawn) as review_minutes,
            sum(publish_minutes::float8) filter (where not is_withdrawn) as publish_minutes,
            bool_or(is_unknown_village) as is_unknown_village,
            min(published_at) filter (where not is_withdrawn) as first_published_at
        from {{ ref("fct_disclosure") }}
        group by village_code, month_start_date
    ),

    first_publications as (
        select village_code, {{ month_of("min(first_published_at)") }} as first_month
        from disclosures
        group by village_code
    ),

    problems_opened as (
        select
            village_code,
            month_start_date,
            count(*)::integer as problems_opened,
            bool_or(is_unknown_village) as is_unknown_village
        from {{ ref("fct_tracked_problem") }}
        group by village_code, month_start_date
    ),

    problems_resolved as (
        select
            village_code,
            resolved_month_start_date as month_start_date,
            count(*)::integer as problems_resolved,
            sum(resolution_minutes::float8) as resolution_minutes,
            bool_or(is_unknown_village) as is_unknown_village
        from {{ ref("fct_tracked_problem") }}
        where is_resolved
        group by village_code, resolved_month_start_date
    ),

    span as (
        select
            min(first_month) as first_month,
            date_trunc('month', {{ build_context("night") }})::date as last_month
        from
            (
                {%- for fact in facts %}
                    select min(month_start_date) as first_month
                    from {{ ref(fact) }} {{ "union all" if not loop.last }}
                {%- endfor %}
            ) as firsts
    ),

    months as (
        select month::date as month_start_date
        from span
        cross join lateral generate_series(first_month, last_month, interval '1 month') as month
    ),

    -- every listed village in every month, whatever happened there
    listed as (
        select
            p.place_code as village_code,
            m.month_start_date,
            p.township_code,
            p.county_code,
            p.city_code,
            1 as villages
        from {{ ref("int_sunshine__places") }} as p
        inner join
            months as m
            on coalesce(p.valid_from, '-infinity') < m.month_start_date + interval '1 month'
            and coalesce(p.valid_to, 'infinity') > m.month_start_date
        where p.division_level = 'village'
    ),

    -- and what happened elsewhere: in a village or a month of which the list knows nothing
    sometimes_listed as (
        select place_code
        from {{ ref("int_sunshine__places") }}
        where valid_from is not null or valid_to is not null
    ),

    elsewhere as (
        {%- for relation in ["disclosures", "problems_opened", "problems_resolved"] + facts[1:4] %}
            select village_code, month_start_date
            from {{ ref(relation) if relation in facts else relation }}
            where
                is_unknown_village
                or month_start_date > (select last_month from span)
                or village_code in (select place_code from sometimes_listed)
                {{ "union" if not loop.last }}
        {%- endfor %}
    ),

    unlisted as (
        select
            e.village_code,
            e.month_start_date,
            {{ place_columns(["township", "county", "city"]) }},
            0 as villages
        from elsewhere as e {{ join_places("e") }}
        where
            not exists (
                select 1
                from listed as l
                where l.village_code = e.village_code and l.month_start_date = e.month_start_date
            )
    ),

    village_months as materialized(
        select
            v.village_code,
            v.month_start_date,
            v.township_code,
            v.county_code,
            v.city_code,
            v.villages,
            case when f.first_month <= v.month_start_date then v.villages else 0 end as villages_covered,
            case when d.disclosures > 0 then v.villages else 0 end as villages_active,
            d.disclosures,
            d.withdrawn_disclosures,
            d.reviewed_disclosures,
            d.published_disclosures,
            d.timely_disclosures,
            d.review_minutes,
            d.publish_minutes,
            e.participants,
            e.satisfied,
            p.complaints,
            p.reports,
            b.complaints + b.reports as petitions_year_before,
            r.new_users,
            o.problems_opened,
            s.problems_resolved,
            s.resolution_minutes
        from
            (
                select *
                from listed
                union all
                select *
                from unlisted
            ) as v
        left join first_publications as f on f.village_code = v.village_code
        left join
            disclosures as d on d.village_code = v.village_code and d.month_start_date = v.month_start_date
        left join
            {{ ref("fct_registration") }} as r
            on r.village_code = v.village_code
            and r.month_start_date = v.month_start_date
        left join
            {{ ref("fct_evaluation") }} as e
            on e.village_code = v.village_code
            and e.month_start_date = v.month_start_date
        left join
            {{ ref("fct_petition") }} as p
            on p.village_code = v.village_code
            and p.month_start_date = v.month_start_date
        left join
            {{ ref("fct_petition") }} as b
            on b.village_code = v.village_code
            and b.month_start_date = (v.month_start_date - interval '1 year')::date
        left join
            problems_opened as o
            on o.village_code = v.village_code
            and o.month_start_date = v.month_start_date
        left join
            problems_resolved as s
            on s.village_code = v.village_code
            and s.month_start_date = v.month_start_date
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
            {%- for name in measures %} {{ name }}{{ "," if not loop.last }} {%- endfor %}
        from village_months
        union all
        select *
        from upper_levels
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
