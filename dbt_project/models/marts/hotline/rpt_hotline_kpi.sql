{{ config(indexes=[{"columns": ["month_start_date", "node_code", "class_group_code"]}]) }}

with
    counted as (
        select
            date_trunc('month', accepted_date)::date as month_start_date,
            node_code,
            class_group_code,
            count(*) as orders,
            count(*) filter (where status = 'withdrawn') as withdrawn_orders,
            count(*) filter (where is_unknown_status) as unknown_status_orders,
            count(*) filter (where is_out_of_order) as out_of_order_orders,
            count(*) filter (
                where due_at < ({{ build_context("night") }} + 1)::timestamp at time zone 'Asia/Shanghai'
            ) as due_orders,
            count(*) filter (
                where
                    due_at < ({{ build_context("night") }} + 1)::timestamp at time zone 'Asia/Shanghai'
                    and is_contacted_on_time
            ) as contacted_on_time_orders,
            count(*) filter (where dispatched_at is not null) as dispatched_orders,
            count(*) filter (where dispatched_at is not null and closed_at is not null) as closed_orders,
            count(*) filter (where callbacks > 0) as called_back_orders,
            count(*) filter (where is_solved) as solved_orders,
            count(*) filter (where satisfaction_code is not null) as rated_orders,
            count(*) filter (where is_satisfied) as satisfied_orders
        from {{ ref("fct_work_order") }}
        group by date_trunc('month', accepted_date)::date, node_code, class_group_code
    ),

    final as (
        select
            c.month_start_date,
            c.node_code,
            c.class_group_code,
            c.orders,
            c.withdrawn_orders,
            c.unknown_status_orders,
            c.out_of_order_orders,
            c.due_orders,
            c.contacted_on_time_orders,
            {{ rate("c.contacted_on_time_orders", "c.due_orders") }} as response_rate,
            c.dispatched_orders,
            c.closed_orders,
            {{ rate("c.closed_orders", "c.dispatched_orders") }} as closure_rate,
            c.called_back_orders,
            c.solved_orders,
            {{ rate("c.solved_orders", "c.called_back_orders") }} as resolution_rate,
            c.rated_orders,
            c.satisfied_orders,
            {{ rate("c.satisfied_orders", "c.rated_orders") }} as satisfaction_rate,
            {{ slot_columns() }}
        from counted as c
    )

select *
from final
