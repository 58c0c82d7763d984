{{ config(indexes=[{"columns": ["batch_code"], "unique": true}]) }}

with
    batches as (select * from {{ ref("stg_supervision__batch") }} where not is_deleted),

    final as (
        select
            b.batch_code,
            b.batch_no,
            b.batch_name,
            b.issued_at,
            b.due_at,
            b.source_batch_id,
            b.source_row,
            b.source_cursor,
            {{ slot_columns() }}
        from batches as b
    )

select *
from final
