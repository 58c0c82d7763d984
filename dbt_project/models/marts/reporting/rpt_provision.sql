{{ config(indexes=[{"columns": ["system", "dataset", "node_code"], "unique": true}]) }}

with
    batches as (
        select
            v.system,
            v.dataset,
            v.node_code,
            v.night,
            b.loaded_at,
            b.cursor_high,
            b.source_rows,
            b.raw_rows,
            b.quarantined_rows,
            b.duplicate_rows
        from {{ ref("visible_batch") }} as v
        inner join {{ source("ops", "batch") }} as b on b.batch_id = v.batch_id
        where v.night <= {{ build_context("night") }}
    ),

    arrivals as (
        select
            system,
            dataset,
            node_code,
            count(*) as batches,
            max(night) as last_batch_night,
            max(loaded_at) as last_loaded_at,
            max(cursor_high) as last_cursor,
            sum(source_rows)::bigint as source_rows,
            sum(raw_rows)::bigint as raw_rows,
            sum(quarantined_rows)::bigint as quarantined_rows,
            sum(duplicate_rows)::bigint as duplicate_rows,
            coalesce(sum(source_rows) filter (where night = {{ build_context("night") }}), 0)::bigint
            as night_source_rows,
            coalesce(sum(quarantined_rows) filter (where night = {{ build_context("night") }}), 0)::bigint
            as night_quarantined_rows
        from batches
        group by system, dataset, node_code
    ),

    -- the nights on which a provision answered that it had nothing to send
    silences as (
        select system, dataset, node_code, max(night) as last_silent_night
        from {{ ref("known_outcome") }}
        where outcome = 'nothing_to_send' and night <= {{ build_context("night") }}
        group by system, dataset, node_code
    ),

    -- what came of the provision in the last run of the build's night
    outcomes as (
        select distinct on (system, dataset, node_code) system, dataset, node_code, outcome, error_type
        from {{ ref("known_outcome") }}
        where night = {{ build_context("night") }}
        order by system, dataset, node_code, opened_at desc
    ),

    joined as (
        select
            p.system,
            p.dataset,
            p.node_code,
            p.connector,
            p.format,
            p.cadence,
            p.valid_from,
            a.batches,
            greatest(a.last_batch_night, s.last_silent_night) as last_arrival_night,
            a.last_loaded_at,
            a.last_cursor,
            a.source_rows,
            a.raw_rows,
            a.quarantined_rows,
            a.duplicate_rows,
            a.night_source_rows,
            a.night_quarantined_rows,
            o.outcome,
            o.error_type
        from {{ ref("provisions") }} as p
        left join arrivals as a on a.system = p.system and a.dataset = p.dataset and a.node_code = p.node_code
        left join silences as s on s.system = p.system and s.dataset = p.dataset and s.node_code = p.node_code
        left join outcomes as o on o.system = p.system and o.dataset = p.dataset and o.node_code = p.node_code
    ),

    final as (
        select
            system,
            dataset,
            node_code,
            connector,
            format,
            cadence,
            last_arrival_night,
            last_loaded_at,
            last_cursor,
            outcome as night_outcome,
            error_type as night_error_type,
            coalesce(last_arrival_night < {{ build_context("night") }}, true) as is_missing,
            case
                when last_arrival_night is null
                then valid_from
                when last_arrival_night < {{ build_context("night") }}
                then last_arrival_night + 1
            end as missing_since_date,
            case
                when last_arrival_night < {{ build_context("night") }}
                then {{ build_context("night") }} - last_arrival_night
            end as missing_nights,
            coalesce(batches, 0) as batches,
            coalesce(source_rows, 0) as source_rows,
            coalesce(raw_rows, 0) as raw_rows,
            coalesce(quarantined_rows, 0) as quarantined_rows,
            coalesce(duplicate_rows, 0) as duplicate_rows,
            coalesce(night_source_rows, 0) as night_source_rows,
            coalesce(night_quarantined_rows, 0) as night_quarantined_rows,
            {{ slot_columns() }}
        from joined
    )

select *
from final
