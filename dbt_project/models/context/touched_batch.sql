{{ config(indexes=[{"columns": ["batch_id"]}], post_hook="analyze {{ this }}") }}

with
    final as (
        select e.batch_id, b.system, b.dataset
        from {{ source("ops", "batch_event") }} as e
        inner join {{ source("ops", "batch") }} as b on b.batch_id = e.batch_id
        where e.seq > {{ build_context("from_seq") }} and e.seq <= {{ build_context("to_seq") }}
        group by e.batch_id, b.system, b.dataset
    )

select *
from final
