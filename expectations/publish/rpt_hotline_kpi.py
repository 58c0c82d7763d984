"""rpt_hotline_kpi: the four indicators per month, city and class. Its counts are those of fct_work_order."""

from yingshang.quality.measures import of_mart
from yingshang.quality.rules import none, same
from yingshang.quality.suites import Measure

BY_NODE = """
with report as (
    select
        node_code,
        sum(orders)::bigint as report_orders,
        sum(dispatched_orders)::bigint as report_dispatched,
        sum(called_back_orders)::bigint as report_called_back,
        sum(solved_orders)::bigint as report_solved,
        sum(rated_orders)::bigint as report_rated
    from serve.rpt_hotline_kpi
    where _slot = %(slot)s
    group by node_code
),
orders as (
    select node_code, count(*) as fact_orders, count(*) filter (where dispatched_at is not null) as fact_dispatched
    from serve.fct_work_order
    where _slot = %(slot)s
    group by node_code
),
last_callbacks as (
    select distinct on (order_no) order_no, is_solved
    from serve.fct_callback
    where _slot = %(slot)s and not is_orphan
    order by order_no, called_back_at desc nulls last, callback_id desc
),
rated as (
    select distinct order_no
    from serve.fct_callback
    where _slot = %(slot)s and is_rated and not is_orphan
),
callbacks as (
    select
        o.node_code,
        count(*) as fact_called_back,
        count(*) filter (where c.is_solved) as fact_solved,
        count(r.order_no) as fact_rated
    from last_callbacks c
    left join rated r using (order_no)
    join serve.fct_work_order o on o.order_no = c.order_no and o._slot = %(slot)s
    group by o.node_code
)
select
    node_code,
    coalesce(report_orders, 0) as report_orders,
    coalesce(fact_orders, 0) as fact_orders,
    coalesce(report_dispatched, 0) as report_dispatched,
    coalesce(fact_dispatched, 0) as fact_dispatched,
    coalesce(report_called_back, 0) as report_called_back,
    coalesce(fact_called_back, 0) as fact_called_back,
    coalesce(report_solved, 0) as report_solved,
    coalesce(fact_solved, 0) as fact_solved,
    coalesce(report_rated, 0) as report_rated,
    coalesce(fact_rated, 0) as fact_rated
from report
full join orders using (node_code)
left join callbacks using (node_code)
order by node_code
"""

MEASURES = (
    of_mart(
        "rpt_hotline_kpi",
        key=("month_start_date", "node_code", "class_group_code"),
        figures="""
    count(*) filter (
        where least(response_rate, closure_rate, resolution_rate, satisfaction_rate) < 0
    ) as rates_below_0,
    count(*) filter (
        where greatest(response_rate, closure_rate, resolution_rate, satisfaction_rate) > 1
    ) as rates_above_1
    """,
        expectations=lambda: [
            none("rates_below_0", "a rate is at least 0"),
            none("rates_above_1", "no numerator is greater than its denominator"),
        ],
    ),
    Measure(
        name="rpt_hotline_kpi.by_node",
        sql=BY_NODE,
        index="node_code",
        expectations=lambda: [
            same("report_orders", "fact_orders", "the orders of all months are those of fct_work_order"),
            same("report_dispatched", "fact_dispatched", "dispatched orders are those of fct_work_order"),
            same("report_called_back", "fact_called_back", "called back are the orders with a live callback"),
            same("report_solved", "fact_solved", "solved are the orders whose last callback says so"),
            same("report_rated", "fact_rated", "rated are the orders with a rating"),
        ],
    ),
)
