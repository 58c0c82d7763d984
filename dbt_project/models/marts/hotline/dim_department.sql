{{ config(indexes=[{"columns": ["department_code"], "unique": true}]) }}

with
    departments as (select * from {{ ref("stg_hotline__department") }} where not is_deleted),

    experts as (
        select department_code, count(*) as experts
        from {{ ref("stg_hotline__expert") }}
        where not is_deleted
        group by department_code
    ),

    final as (
        select
            d.department_code,
            d.department_name,
            coalesce(e.experts, 0) as experts,
            d.source_batch_id,
            d.source_row,
            d.source_cursor,
            {{ slot_columns() }}
        from departments as d
        left join experts as e on e.department_code = d.department_code
    )

select *
from final
