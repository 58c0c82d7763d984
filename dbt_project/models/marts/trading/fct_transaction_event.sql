{{
    config(
        materialized="incremental",
        incremental_strategy="replace_keys",
        unique_key="lot_key",
        on_schema_change="fail",
        meta={"touched": "lot"},
        indexes=[
            {"columns": ["lot_key", "dataset", "record_key"], "unique": true},
            {"columns": ["node_code", "occurred_at"]},
        ],
    )
}}
-- depends_on: {{ ref("touched_key") }}
with
    {% if is_incremental() %} touched as ({{ touched_keys() }}), {% endif %}

    notices as ({{ of_touched_keys(ref("int_trading__notices_exploded"), "lot_key") }}),

    results as ({{ of_touched_keys(ref("stg_trading__result"), "lot_code") }}),

    contracts as ({{ of_touched_keys(ref("stg_trading__contract"), "lot_code") }}),

    performances as ({{ of_touched_keys(ref("stg_trading__performance"), "lot_code") }}),

    lots as ({{ of_touched_keys(ref("stg_trading__lot"), "lot_code") }}),

    live_lots as (select lot_code from lots where not is_deleted),

    -- records that come once per lot, or once per lot and organisation
    records as (
        select
            'result' as dataset,
            lot_code || '/' || winner_code as record_key,
            lot_code,
            project_code,
            deal_code,
            source_type_code,
            deal_day,
            'awarded' as stage,
            awarded_at as occurred_at,
            winner_code as organization_code,
            winner_name as title,
            award_yuan as amount_yuan,
            is_deleted,
            node_code,
            source_batch_id,
            source_row,
            source_cursor
        from results
        union all
        select
            'contract',
            lot_code || '/' || contractor_code,
            lot_code,
            project_code,
            deal_code,
            source_type_code,
            deal_day,
            'signed',
            signed_at,
            contractor_code,
            contract_name,
            contract_price_yuan,
            is_deleted,
            node_code,
            source_batch_id,
            source_row,
            source_cursor
        from contracts
        union all
        select
            'performance',
            lot_code,
            lot_code,
            project_code,
            deal_code,
            source_type_code,
            deal_day,
            'settled',
            coalesce(finished_at, reported_at),
            null,
            null,
            settled_yuan,
            is_deleted,
            node_code,
            source_batch_id,
            source_row,
            source_cursor
        from performances
    ),

    events as (
        select
            'notice' as dataset,
            n.notice_url as record_key,
            n.lot_key,
            n.lot_code,
            n.project_code,
            n.deal_code,
            n.node_code,
            n.type_code,
            n.industry_code,
            n.stage,
            n.sent_at as occurred_at,
            null::text as organization_code,
            n.notice_name as title,
            null::numeric(18, 2) as amount_yuan,
            n.source_batch_id,
            n.source_row,
            n.source_cursor
        from notices as n
        where not n.is_deleted
        union all
        select
            r.dataset,
            r.record_key,
            r.lot_code as lot_key,
            r.lot_code,
            r.project_code,
            r.deal_code,
            r.node_code,
            {{ type_columns() }},
            r.stage,
            r.occurred_at,
            r.organization_code,
            r.title,
            r.amount_yuan,
            r.source_batch_id,
            r.source_row,
            r.source_cursor
        from records as r {{ join_type("r") }}
        where not r.is_deleted
    ),

    final as (
        select
            e.lot_key,
            e.dataset,
            e.record_key,
            e.lot_code,
            e.project_code,
            e.deal_code,
            e.node_code,
            e.type_code,
            e.industry_code,
            e.stage,
            e.occurred_at,
            e.organization_code,
            e.title,
            e.amount_yuan,
            {{ is_held("e.amount_yuan") }} as is_held,
            l.lot_code is null as is_orphan,
            e.source_batch_id,
            e.source_row,
            e.source_cursor,
            {{ slot_columns() }}
        from events as e
        left join live_lots as l on l.lot_code = e.lot_code
    )

select *
from final
