{{
    config(
        materialized="incremental",
        incremental_strategy="replace_keys",
        unique_key="order_no",
        on_schema_change="fail",
        meta={"touched": "work_order"},
        indexes=[
            {"columns": ["order_no"], "unique": true},
            {"columns": ["node_code", "accepted_date"]},
            {"columns": ["region_code"]},
        ],
    )
}}
-- depends_on: {{ ref("touched_key") }}
with
    {% if is_incremental() %} touched as ({{ touched_keys() }}), {% endif %}

    all_orders as ({{ of_touched_keys(ref("stg_hotline__work_order"), "order_no") }}),

    orders as (select * from all_orders where not is_deleted),

    callbacks as ({{ of_touched_keys(ref("fct_callback"), "order_no") }}),

    -- the last callback says whether it is solved, the last with a rating how satisfied the citizen is
    callbacks_of_orders as (
        select
            order_no,
            count(*) as callbacks,
            max(called_back_at) as called_back_at,
            (array_agg(is_solved order by called_back_at desc nulls last, callback_id desc))[1] as is_solved,
            (
                array_agg(
                    satisfaction_code order by called_back_at desc nulls last, callback_id desc
                ) filter (where is_rated)
            )[1] as satisfaction_code
        from callbacks
        group by order_no
    ),

    final as (
        select
            o.order_no,
            o.node_code,
            o.region_code,
            o.class_code,
            coalesce(k.code, 'unknown') as class_group_code,
            o.channel_code,
            coalesce(h.name, 'unknown') as channel,
            o.department_name,
            o.content_length,
            o.accepted_at,
            (o.accepted_at at time zone 'Asia/Shanghai')::date as accepted_date,
            o.dispatched_at,
            o.due_at,
            o.first_contact_at,
            o.closed_at,
            c.called_back_at,
            o.status_name,
            coalesce(own.status, everywhere.status, 'unknown') as status,
            coalesce(c.callbacks, 0) as callbacks,
            c.is_solved,
            c.satisfaction_code,
            c.satisfaction_code in ('1', '2') as is_satisfied,
            coalesce(o.first_contact_at <= o.due_at, false) as is_contacted_on_time,
            coalesce(o.first_contact_at > o.due_at, false) as is_contacted_late,
            coalesce(
                o.dispatched_at < o.accepted_at
                or o.first_contact_at < o.accepted_at
                or o.closed_at < greatest(o.accepted_at, o.dispatched_at),
                false
            ) as is_out_of_order,
            coalesce(own.status, everywhere.status) is null as is_unknown_status,
            k.code is null as is_unknown_class,
            d.code is null as is_unknown_division,
            o.source_batch_id,
            o.source_row,
            o.source_cursor,
            {{ slot_columns() }}
        from orders as o
        left join callbacks_of_orders as c on c.order_no = o.order_no
        left join
            {{ ref("hotline_status_map") }} as own
            on own.region_code = o.node_code
            and own.status_name = o.status_name
        left join
            {{ ref("hotline_status_map") }} as everywhere
            on everywhere.region_code is null
            and everywhere.status_name = o.status_name
        left join {{ ref("hotline_classes") }} as k on k.code = left(o.class_code, 2)
        left join {{ ref("hotline_channels") }} as h on h.code = o.channel_code
        left join {{ ref("divisions") }} as d on d.code = o.region_code || '000000'
    )

select *
from final
