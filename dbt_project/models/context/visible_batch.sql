{{
    config(
        indexes=[{"columns": ["batch_id"], "unique": true}],
        post_hook="analyze {{ this }}",
    )
}}

with
    last_events as (
        select distinct on (e.batch_id) e.batch_id, e.seq, e.event
        from {{ source("ops", "batch_event") }} as e
        where e.seq <= {{ build_context("to_seq") }}
        order by e.batch_id, e.seq desc
    ),

    final as (
        select b.batch_id, b.system, b.dataset, b.node_code, b.night, l.seq as admitted_seq
        from last_events as l
        inner join {{ source("ops", "batch") }} as b on b.batch_id = l.batch_id
        where l.event = 'admitted'
    )

select *
from final
