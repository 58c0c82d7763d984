{{ config(indexes=[{"columns": ["date_day"], "unique": true}]) }}

with
    days as (
        select d::date as date_day
        from generate_series('2010-01-01'::timestamp, '2035-12-31'::timestamp, interval '1 day') as g(d)
    ),

    final as (
        select
            date_day,
            extract(year from date_day)::int as year,
            extract(quarter from date_day)::int as quarter,
            extract(month from date_day)::int as month,
            to_char(date_day, 'YYYY-MM') as month_label,
            date_trunc('month', date_day)::date as month_start_date,
            extract(isoyear from date_day)::int as iso_year,
            extract(week from date_day)::int as iso_week,
            extract(isodow from date_day)::int as day_of_week,
            extract(isodow from date_day) > 5 as is_weekend,
            {{ slot_columns() }}
        from days
    )

select *
from final
