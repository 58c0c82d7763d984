{{
    config(
        materialized="incremental",
        incremental_strategy="replace_keys",
        unique_key=["village_code", "month_start_date"],
        on_schema_change="fail",
        meta={"touched_in": "touched_village_month"},
        indexes=[{"columns": ["month_start_date", "village_code"], "unique": true}],
        pre_hook="{{ without_indexes_when_full() }}",
        post_hook="analyze {{ this }}",
    )
}}
-- depends_on: {{ ref("touched_village_month") }}
{%- set whole_at_once = "" if is_incremental() else "not materialized " %}
-- Minutes are summed as float8: whole numbers, so exact, and faster than numeric.
with
    {% if is_incremental() %} touched as ({{ touched_keys() }}), {% endif %}

    registrations as {{ whole_at_once }} ({{ at_touched_months(ref("fct_registration")) }}),

    evaluations as {{ whole_at_once }} ({{ at_touched_months(ref("fct_evaluation")) }}),

    petitions as {{ whole_at_once }} ({{ at_touched_months(ref("fct_petition")) }}),

    petitions_year_before as ({{ at_touched_months(ref("fct_petition"), years_back=1) }}),

    disclosures_entered as ({{ at_touched_months(ref("fct_disclosure")) }}),

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
        from disclosures_entered
        group by village_code, month_start_date
    ),

    first_publications as (
        {% if is_incremental() %}{{ first_months_covered("touched") }}
        {% else %}
            select village_code, {{ month_of("min(first_published_at)") }} as first_month
            from disclosures
            group by village_code
        {% endif %}
    ),

    opened as ({{ at_touched_months(ref("fct_tracked_problem")) }}),

    problems_opened as (
        select
            village_code,
            month_start_date,
            count(*)::integer as problems_opened,
            bool_or(is_unknown_village) as is_unknown_village
        from opened
        group by village_code, month_start_date
    ),

    resolved as ({{ at_touched_months(ref("fct_tracked_problem"), month="resolved_month_start_date") }}),

    problems_resolved as (
        select
            village_code,
            resolved_month_start_date as month_start_date,
            count(*)::integer as problems_resolved,
            sum(resolution_minutes::float8) as resolution_minutes,
            bool_or(is_unknown_village) as is_unknown_village
        from resolved
        where is_resolved
        group by village_code, resolved_month_start_date
    ),

    span as ({{ months_of_coverage() }}),

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
        {% if is_incremental() %} inner join touched as t on t.village_code = p.place_code {% endif %}
        inner join
            months as m
            on coalesce(p.valid_from, '-infinity') < m.month_start_date + interval '1 month'
            and coalesce(p.valid_to, 'infinity') > m.month_start_date
            {%- if is_incremental() %} and m.month_start_date = t.month_start_date {% endif %}
        where p.division_level = 'village'
    ),

    -- and what happened elsewhere: in a village or a month of which the list knows nothing
    sometimes_listed as (
        select place_code
        from {{ ref("int_sunshine__places") }}
        where valid_from is not null or valid_to is not null
    ),

    elsewhere as (
        {%- for relation in [
            "disclosures",
            "problems_opened",
            "problems_resolved",
            "registrations",
            "evaluations",
            "petitions",
        ] %}
            select village_code, month_start_date
            from {{ relation }}
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

    final as (
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
            registrations as r on r.village_code = v.village_code and r.month_start_date = v.month_start_date
        left join
            evaluations as e on e.village_code = v.village_code and e.month_start_date = v.month_start_date
        left join
            petitions as p on p.village_code = v.village_code and p.month_start_date = v.month_start_date
        left join
            petitions_year_before as b
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
    )

select *
from final
