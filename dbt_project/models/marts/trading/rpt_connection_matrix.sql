{{ config(indexes=[{"columns": ["type_code", "node_code"], "unique": true}]) }}

with
    lots as (
        select
            node_code,
            type_code,
            count(*) as lots,
            count(*) filter (where is_withdrawn) as withdrawn_lots,
            min(created_at) as first_at,
            max(created_at) as last_at,
            max(source_batch_id) as last_batch_id
        from {{ ref("fct_transaction") }}
        group by node_code, type_code
    ),

    -- a notice is one record, however many lots it names
    records as (
        select
            node_code,
            type_code,
            dataset,
            record_key,
            min(occurred_at) as first_at,
            max(occurred_at) as last_at,
            max(source_batch_id) as last_batch_id
        from {{ ref("fct_transaction_event") }}
        group by node_code, type_code, dataset, record_key
    ),

    events as (
        select
            node_code,
            type_code,
            count(*) as records,
            min(first_at) as first_at,
            max(last_at) as last_at,
            max(last_batch_id) as last_batch_id
        from records
        group by node_code, type_code
    ),

    bids as (
        select
            node_code,
            type_code,
            count(*) as records,
            min(submitted_at) as first_at,
            max(submitted_at) as last_at,
            max(source_batch_id) as last_batch_id
        from {{ ref("fct_bid") }}
        group by node_code, type_code
    ),

    pairs as (
        select t.type_code, t.industry_code, n.node_code, n.level as node_level
        from {{ ref("transaction_types") }} as t
        cross join {{ ref("nodes") }} as n
    ),

    joined as (
        select
            p.type_code,
            p.industry_code,
            p.node_code,
            p.node_level,
            coalesce(l.lots, 0) as lots,
            coalesce(l.withdrawn_lots, 0) as withdrawn_lots,
            coalesce(l.lots, 0) + coalesce(e.records, 0) + coalesce(b.records, 0) as records,
            (least(l.first_at, e.first_at, b.first_at) at time zone 'Asia/Shanghai')::date
            as connected_since_date,
            (greatest(l.last_at, e.last_at, b.last_at) at time zone 'Asia/Shanghai')::date
            as last_record_date,
            greatest(l.last_batch_id, e.last_batch_id, b.last_batch_id) as last_batch_id
        from pairs as p
        left join lots as l on l.node_code = p.node_code and l.type_code = p.type_code
        left join events as e on e.node_code = p.node_code and e.type_code = p.type_code
        left join bids as b on b.node_code = p.node_code and b.type_code = p.type_code
    ),

    final as (
        select
            j.type_code,
            j.node_code,
            j.industry_code,
            j.node_level,
            j.records > 0 as is_connected,
            j.connected_since_date,
            j.last_record_date,
            greatest({{ build_context("night") }} - j.last_record_date, 0) as silent_days,
            j.lots,
            j.withdrawn_lots,
            j.records,
            v.night as last_delivery_night,
            {{ slot_columns() }}
        from joined as j
        left join {{ ref("visible_batch") }} as v on v.batch_id = j.last_batch_id
    )

select *
from final
