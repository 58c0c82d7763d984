{{ config(indexes=[{"columns": ["industry_code"], "unique": true}]) }}

with
    industries as (
        select
            industry_code,
            min(industry_cn) as industry_cn,
            min(industry_en) as industry_en,
            count(*)::int as types
        from {{ ref("transaction_types") }}
        group by industry_code
    ),

    final as (
        select industry_code, industry_cn, industry_en, types, {{ slot_columns() }}
        from industries
        union all
        select 'unknown', '未知', 'Unknown', 0, {{ slot_columns() }}
    )

select *
from final
