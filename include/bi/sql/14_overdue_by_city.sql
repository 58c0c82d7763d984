-- title: Overdue issues by node
-- title_cn: 超期问题分布
-- question: Which nodes have the most overdue issues, and how old is the oldest?
select b.node_code, d.division_name, sum(b.overdue_issues) as overdue, max(b.oldest_open_days) as oldest_open_days
from marts.rpt_batch_progress as b
left join marts.dim_division as d on d.region_code = b.node_code and d.is_node
group by b.node_code, d.division_name
having sum(b.overdue_issues) > 0
order by overdue desc, b.node_code
limit 30
