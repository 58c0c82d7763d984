-- title: Hotline by city
-- title_cn: 热线办理指标
-- question: Response, closure, resolution and satisfaction of each city in the last twelve months: counts are added up, never rates.
select k.node_code, sum(k.orders) as orders,
    round(sum(k.contacted_on_time_orders)::numeric / nullif(sum(k.due_orders), 0), 4) as response_rate,
    round(sum(k.closed_orders)::numeric / nullif(sum(k.dispatched_orders), 0), 4) as closure_rate,
    round(sum(k.solved_orders)::numeric / nullif(sum(k.called_back_orders), 0), 4) as resolution_rate,
    round(sum(k.satisfied_orders)::numeric / nullif(sum(k.rated_orders), 0), 4) as satisfaction_rate
from marts.rpt_hotline_kpi as k
where k.month_start_date > (select (p.night - interval '12 months')::date from marts.publication as p)
group by k.node_code
order by k.node_code
