{{
    config(
        materialized="incremental",
        incremental_strategy="replace_keys",
        unique_key="lot_code",
        on_schema_change="fail",
        meta={"touched": "lot"},
        indexes=[
            {"columns": ["lot_code", "bidder_code"], "unique": true},
            {"columns": ["bidder_code"]},
        ],
    )
}}
-- depends_on: {{ ref("touched_key") }}
with
    {% if is_incremental() %} touched as ({{ touched_keys() }}), {% endif %}

    bids as ({{ of_touched_keys(ref("stg_trading__bid"), "lot_code") }}),

    lots as ({{ of_touched_keys(ref("stg_trading__lot"), "lot_code") }}),

    live_lots as (select lot_code from lots where not is_deleted),

    final as (
        select
            b.lot_code,
            b.bidder_code,
            b.project_code,
            b.deal_code,
            b.node_code,
            {{ type_columns() }},
            b.bidder_name,
            b.bidder_role,
            b.bidder_region_code,
            b.is_lost,
            b.price_form_code,
            b.bid_price_yuan,
            b.other_price,
            b.currency_code,
            b.submitted_at,
            {{ is_held("b.bid_price_yuan") }} as is_held,
            l.lot_code is null as is_orphan,
            b.source_batch_id,
            b.source_row,
            b.source_cursor,
            {{ slot_columns() }}
        from bids as b {{ join_type("b") }}
        left join live_lots as l on l.lot_code = b.lot_code
        where not b.is_deleted
    )

select *
from final
