{{ config(indexes=[{"columns": ["system", "node_code"], "unique": true}]) }}
{%- set night = build_context("night") %}

with
    owed as (
        select
            system,
            node_code,
            count(*) as datasets,
            count(*) filter (where not is_missing) as arrived_datasets,
            count(*) filter (where not is_missing and night_outcome = 'nothing_to_send') as silent_datasets,
            count(*) filter (where is_missing and night_outcome = 'loaded') as refused_datasets,
            count(*) filter (where is_missing and night_outcome = 'failed') as failed_datasets,
            count(*) filter (
                where is_missing and coalesce(night_outcome, 'not_provided') not in ('loaded', 'failed')
            ) as not_provided_datasets,
            count(*) filter (where last_arrival_night is null) as never_arrived_datasets,
            string_agg(dataset, ', ' order by dataset) filter (where is_missing) as missing_datasets,
            string_agg(distinct night_error_type, ', ') filter (where is_missing) as night_error_types,
            max(last_arrival_night) as last_arrival_night,
            min(missing_since_date) as missing_since_date,
            max(missing_nights) as missing_nights
        from {{ ref("rpt_provision") }}
        group by system, node_code
    ),

    recent_batches as (
        select
            v.system,
            v.dataset,
            v.node_code,
            v.night,
            v.batch_id,
            b.source_rows,
            b.raw_rows,
            b.quarantined_rows,
            b.duplicate_rows,
            b.profile
        from {{ ref("visible_batch") }} as v
        inner join {{ source("ops", "batch") }} as b on b.batch_id = v.batch_id
        where v.night > {{ night }} - {{ var("scorecard_nights") }} and v.night <= {{ night }}
    ),

    rows_of_nights as (
        select
            system,
            node_code,
            sum(source_rows)::bigint as source_rows,
            sum(quarantined_rows)::bigint as quarantined_rows,
            (sum(source_rows) filter (where night = {{ night }}))::bigint as night_source_rows,
            (sum(raw_rows) filter (where night = {{ night }}))::bigint as night_raw_rows,
            (sum(quarantined_rows) filter (where night = {{ night }}))::bigint as night_quarantined_rows,
            (sum(duplicate_rows) filter (where night = {{ night }}))::bigint as night_duplicate_rows
        from recent_batches
        group by system, node_code
    ),

    -- a row may have broken its contract for several reasons
    reasons as (
        select b.system, b.node_code, b.dataset || '.' || r.reason as reason, sum(r.rows::bigint) as rows
        from recent_batches as b
        cross join lateral jsonb_each_text(b.profile -> 'reasons') as r(reason, rows)
        group by b.system, b.node_code, b.dataset, r.reason
    ),

    ranked_reasons as (
        select *, row_number() over (partition by system, node_code order by rows desc, reason) as reason_rank
        from reasons
    ),

    top_reasons as (
        select
            system,
            node_code,
            string_agg(reason || ' (' || rows || ')', ', ' order by reason_rank) as reject_reasons
        from ranked_reasons
        where reason_rank <= 3
        group by system, node_code
    ),

    -- which deliveries were due in these nights, and which of them came in their night
    due as (
        select system, dataset, node_code, night, bool_or(outcome = 'nothing_to_send') as is_silent
        from {{ ref("known_outcome") }}
        where night > {{ night }} - {{ var("scorecard_nights") }} and night <= {{ night }}
        group by system, dataset, node_code, night
    ),

    came as (
        select system, dataset, node_code, night
        from recent_batches
        group by system, dataset, node_code, night
    ),

    timeliness as (
        select
            d.system,
            d.node_code,
            count(*) as due_deliveries,
            count(*) filter (where d.is_silent or c.night is not null) as timely_deliveries
        from due as d
        left join
            came as c
            on c.system = d.system
            and c.dataset = d.dataset
            and c.node_code = d.node_code
            and c.night = d.night
        group by d.system, d.node_code
    ),

    -- what the newest batch of each dataset said of the source's columns
    newest_batches as (
        select distinct
            on (v.system, v.dataset, v.node_code)
            v.system,
            v.dataset,
            v.node_code,
            nullif(b.drift, '{}') as drift
        from {{ ref("visible_batch") }} as v
        inner join {{ source("ops", "batch") }} as b on b.batch_id = v.batch_id
        where v.night <= {{ night }}
        order by v.system, v.dataset, v.node_code, v.batch_id desc
    ),

    drifted_columns as (
        select n.system, n.node_code, n.dataset, '+' || c.name as change
        from newest_batches as n
        cross join lateral jsonb_array_elements_text(n.drift -> 'extra') as c(name)
        union all
        select n.system, n.node_code, n.dataset, '-' || c.name
        from newest_batches as n
        cross join lateral jsonb_array_elements_text(n.drift -> 'missing') as c(name)
        union all
        select n.system, n.node_code, n.dataset, '~' || c.name
        from newest_batches as n
        cross join lateral jsonb_object_keys(n.drift -> 'retyped') as c(name)
    ),

    drifts as (
        select
            system,
            node_code,
            count(distinct dataset) as drifted_datasets,
            string_agg(dataset || ' ' || change, ', ' order by dataset, change) as drift
        from drifted_columns
        group by system, node_code
    ),

    measured as (
        select
            o.*,
            n.name as node_name,
            n.level as node_level,
            coalesce(r.night_source_rows, 0) as night_source_rows,
            coalesce(r.night_raw_rows, 0) as night_raw_rows,
            coalesce(r.night_quarantined_rows, 0) as night_quarantined_rows,
            coalesce(r.night_duplicate_rows, 0) as night_duplicate_rows,
            coalesce(r.source_rows, 0) as source_rows,
            coalesce(r.quarantined_rows, 0) as quarantined_rows,
            {{ rate("r.quarantined_rows", "r.source_rows") }} as reject_rate,
            t.reject_reasons,
            coalesce(i.due_deliveries, 0) as due_deliveries,
            coalesce(i.timely_deliveries, 0) as timely_deliveries,
            {{ rate("i.timely_deliveries", "i.due_deliveries") }} as timeliness_rate,
            coalesce(d.drifted_datasets, 0) as drifted_datasets,
            d.drift,
            coalesce(f.records, 0) as records,
            coalesce(f.unknown_records, 0) as unknown_records,
            coalesce(f.orphan_records, 0) as orphan_records,
            coalesce(f.contradictory_records, 0) as contradictory_records,
            {{ rate("f.unknown_records", "f.records") }} as unknown_rate,
            {{ rate("f.orphan_records", "f.records") }} as orphan_rate,
            {{ rate("f.contradictory_records", "f.records") }} as contradictory_rate
        from owed as o
        inner join {{ ref("nodes") }} as n on n.node_code = o.node_code
        left join rows_of_nights as r on r.system = o.system and r.node_code = o.node_code
        left join top_reasons as t on t.system = o.system and t.node_code = o.node_code
        left join timeliness as i on i.system = o.system and i.node_code = o.node_code
        left join drifts as d on d.system = o.system and d.node_code = o.node_code
        left join
            {{ ref("int_reporting__flagged_records") }} as f
            on f.system = o.system
            and f.node_code = o.node_code
    ),

    -- each measure against the bounds of each level; what cannot be measured breaks none
    judged as (
        select
            m.system,
            m.node_code,
            l.quality_level,
            concat_ws(
                ', ',
                case when m.never_arrived_datasets > 0 then 'never arrived' end,
                case when coalesce(m.missing_nights, 0) > l.most_missing_nights then 'missing' end,
                case when m.timeliness_rate < l.least_timeliness_rate then 'late' end,
                case when m.reject_rate > l.most_reject_rate then 'rejects' end,
                case when m.unknown_rate > l.most_unknown_rate then 'unknown codes' end,
                case when m.orphan_rate > l.most_orphan_rate then 'orphans' end,
                case when m.contradictory_rate > l.most_contradictory_rate then 'contradictory times' end,
                case when m.drifted_datasets > l.most_drifted_datasets then 'drift' end
            ) as shortcomings
        from measured as m
        cross join {{ ref("source_quality_levels") }} as l
    ),

    levels as (
        select
            system,
            node_code,
            coalesce(min(quality_level) filter (where shortcomings = ''), 'D') as quality_level,
            nullif(min(shortcomings) filter (where quality_level = 'A'), '') as shortcomings
        from judged
        group by system, node_code
    ),

    final as (
        select
            m.system,
            m.node_code,
            m.node_name,
            m.node_level,
            v.quality_level,
            max(v.quality_level) over (partition by m.node_code) as node_quality_level,
            v.shortcomings,
            m.datasets,
            m.arrived_datasets,
            m.silent_datasets,
            m.refused_datasets,
            m.failed_datasets,
            m.not_provided_datasets,
            m.never_arrived_datasets,
            m.missing_datasets,
            m.night_error_types,
            m.last_arrival_night,
            m.missing_since_date,
            m.missing_nights,
            m.night_source_rows,
            m.night_raw_rows,
            m.night_quarantined_rows,
            m.night_duplicate_rows,
            m.source_rows,
            m.quarantined_rows,
            m.reject_rate,
            m.reject_reasons,
            m.due_deliveries,
            m.timely_deliveries,
            m.timeliness_rate,
            m.drifted_datasets,
            m.drift,
            m.records,
            m.unknown_records,
            m.unknown_rate,
            m.orphan_records,
            m.orphan_rate,
            m.contradictory_records,
            m.contradictory_rate,
            {{ slot_columns() }}
        from measured as m
        inner join levels as v on v.system = m.system and v.node_code = m.node_code
    )

select *
from final
