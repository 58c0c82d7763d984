{{ config(indexes=[{"columns": ["type_code"], "unique": true}]) }}

with
    types as (select * from {{ ref("transaction_types") }}),

    final as (
        select
            type_code,
            type_cn,
            type_en,
            industry_code,
            industry_cn,
            industry_en,
            national_class,
            valid_from,
            valid_to,
            provenance,
            {{ slot_columns() }}
        from types
        union all
        select
            'unknown',
            '未知',
            'Unknown',
            'unknown',
            '未知',
            'Unknown',
            null,
            null,
            null,
            'a source code that maps to nothing',
            {{ slot_columns() }}
    )

select *
from final
