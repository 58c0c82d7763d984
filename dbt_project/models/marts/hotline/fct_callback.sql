{{
    config(
        materialized="incremental",
        incremental_strategy="replace_keys",
        unique_key="callback_id",
        on_schema_change="fail",
        meta={"touched": "callback", "touched_through": {"order_no": "work_order"}},
        indexes=[
            {"columns": ["callback_id"], "unique": true},
            {"columns": ["order_no"]},
            {"columns": ["node_code", "called_back_at"]},
        ],
    )
}}
-- depends_on: {{ ref("touched_key") }}
with
    {% if is_incremental() %} touched as ({{ touched_keys() }}), {% endif %}

    all_callbacks as ({{ of_touched_keys(ref("stg_hotline__callback"), "callback_id") }}),

    callbacks as (select * from all_callbacks where not is_deleted),

    order_keys as (select order_no as key from callbacks group by order_no),

    orders as ({{ of_touched_keys(ref("stg_hotline__work_order"), "order_no", keys="order_keys") }}),

    live_orders as (select order_no from orders where not is_deleted),

    final as (
        select
            c.callback_id,
            c.order_no,
            c.node_code,
            c.called_back_at,
            (c.called_back_at at time zone 'Asia/Shanghai')::date as called_back_date,
            c.is_solved,
            c.satisfaction_code,
            c.satisfaction_code is not null as is_rated,
            c.satisfaction_code in ('1', '2') as is_satisfied,
            c.reason_code,
            o.order_no is null as is_orphan,
            c.source_batch_id,
            c.source_row,
            c.source_cursor,
            {{ slot_columns() }}
        from callbacks as c
        left join live_orders as o on o.order_no = c.order_no
    )

select *
from final
