{{
    config(
        materialized="incremental",
        incremental_strategy="replace_keys",
        unique_key="lot_code",
        on_schema_change="fail",
        meta={"touched": "lot"},
        indexes=[
            {"columns": ["lot_code", "contractor_code"], "unique": true},
            {"columns": ["contractor_code"]},
        ],
    )
}}
-- depends_on: {{ ref("touched_key") }}
with
    {% if is_incremental() %} touched as ({{ touched_keys() }}), {% endif %}

    contracts as ({{ of_touched_keys(ref("stg_trading__contract"), "lot_code") }}),

    lots as ({{ of_touched_keys(ref("stg_trading__lot"), "lot_code") }}),

    live_lots as (select lot_code from lots where not is_deleted),

    final as (
        select
            c.lot_code,
            c.contractor_code,
            c.buyer_code,
            c.project_code,
            c.deal_code,
            c.node_code,
            {{ type_columns() }},
            c.contract_name,
            c.contract_price_yuan,
            c.signed_at,
            c.term,
            {{ is_held("c.contract_price_yuan") }} as is_held,
            l.lot_code is null as is_orphan,
            c.source_batch_id,
            c.source_row,
            c.source_cursor,
            {{ slot_columns() }}
        from contracts as c {{ join_type("c") }}
        left join live_lots as l on l.lot_code = c.lot_code
        where not c.is_deleted
    )

select *
from final
