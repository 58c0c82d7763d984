{{ config(materialized="view") }}

with
    -- the last word on each provision of each run that the build knows of
    last_words as (
        select distinct
            on (o.run_id, o.system, o.dataset, o.node_code)
            o.run_id,
            o.system,
            o.dataset,
            o.node_code,
            o.outcome,
            o.error_type,
            o.error
        from {{ source("ops", "provision_outcome") }} as o
        where o.seq <= {{ build_context("to_outcome") }}
        order by o.run_id, o.system, o.dataset, o.node_code, o.seq desc
    ),

    final as (
        select
            l.run_id, r.night, r.opened_at, l.system, l.dataset, l.node_code, l.outcome, l.error_type, l.error
        from last_words as l
        inner join {{ source("ops", "night_run") }} as r on r.run_id = l.run_id
    )

select *
from final
