{{
    config(
        indexes=[{"columns": ["month_start_date", "village_code"], "unique": true}],
        post_hook="analyze {{ this }}",
    )
}}
{%- set before = coverage_before() %}
-- depends_on: {{ ref("int_sunshine__places") }}
{%- for fact in ["disclosure", "registration", "evaluation", "petition", "tracked_problem"] %}
-- depends_on: {{ ref("fct_" ~ fact) }}
{%- endfor %}
-- What a touched record says now or has ever said, visible or not: its village and month before the build are
-- among these. What coverage was before the build is read from the slot itself.
with
    disclosures as (
        select
            r.village_code,
            {{ shanghai_time("r.enter_time") }} as entered_at,
            {{ shanghai_time("r.review_time") }} as reviewed_at,
            {{ shanghai_time("r.publish_time") }} as published_at,
            r.data_timestamp
        from
            (
                {{
                    looked_up(
                        source("sunshine", "disclosure"),
                        "r.disclosure_id = k.key",
                        "(" ~ touched_keys_of_kind({"touched": "disclosure"}) ~ ")",
                    )
                }}
            ) as r
    ),

    problems as (
        select
            r.village_code,
            {{ shanghai_time("r.open_time") }} as opened_at,
            {{ shanghai_time("r.resolve_time") }} as resolved_at,
            r.data_timestamp
        from
            (
                {{
                    looked_up(
                        source("sunshine", "tracked_problem"),
                        "r.problem_id = k.key",
                        "(" ~ touched_keys_of_kind({"touched": "tracked_problem"}) ~ ")",
                    )
                }}
            ) as r
    ),

    counts as (
        select
            kind,
            split_part(key, '/', 1) as village_code,
            to_date(split_part(key, '/', 2), 'YYYYMM') as month_start_date
        from {{ ref("touched_key") }}
        where kind in ('registration', 'evaluation', 'petition')
    ),

    {% if before %}
        -- villages whose first publication is another than before: they are covered from another month on
        first_publications as ({{ first_months_covered("disclosures") }}),

        covered_otherwise as (
            select b.village_code, b.month_start_date
            from {{ before }} as b
            inner join first_publications as f on f.village_code = b.village_code
            where
                b.villages > 0
                and (b.villages_covered > 0) <> coalesce(f.first_month <= b.month_start_date, false)
        ),

        -- months that coverage did not tell of before, or no longer tells of
        span as ({{ months_of_coverage() }}),

        span_before as (
            select min(month_start_date) as first_month, max(month_start_date) as last_month
            from {{ before }}
            where villages > 0
        ),

        other_months as (
            select coalesce(n.month, b.month)::date as month_start_date
            from
                (
                    select month
                    from span, lateral generate_series(first_month, last_month, interval '1 month') as month
                ) as n
            full join
                (
                    select month
                    from
                        span_before,
                        lateral generate_series(first_month, last_month, interval '1 month') as month
                ) as b
                on b.month = n.month
            where n.month is null or b.month is null
        ),

        in_other_months as (
            select p.place_code as village_code, m.month_start_date
            from other_months as m
            cross join {{ ref("int_sunshine__places") }} as p
            where p.division_level = 'village'
            union
            select b.village_code, b.month_start_date
            from other_months as m
            inner join {{ before }} as b on b.month_start_date = m.month_start_date
        ),
    {% endif %}

    final as (
        select
            village_code,
            {{ month_of(disclosure_time("entered_at", "reviewed_at", "published_at", "data_timestamp")) }}
            as month_start_date
        from disclosures
        union
        select village_code, {{ month_of(problem_time("opened_at", "resolved_at", "data_timestamp")) }}
        from problems
        union
        select village_code, {{ month_of("resolved_at") }}
        from problems
        where resolved_at is not null
        union
        select village_code, month_start_date
        from counts
        union
        select village_code, (month_start_date + interval '1 year')::date
        from counts
        where kind = 'petition'
        {% if before %}
            union
            select village_code, month_start_date
            from covered_otherwise
            union
            select village_code, month_start_date
            from in_other_months
        {% endif %}
    )

select *
from final
