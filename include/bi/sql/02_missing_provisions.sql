-- title: What did not arrive
-- title_cn: 未到数据
-- question: Which provisions are missing tonight, since when, and why?
select p.system, p.dataset, p.node_code, d.division_name, p.missing_since_date, p.missing_nights, p.night_error_type
from marts.rpt_provision as p
left join marts.dim_division as d on d.region_code = p.node_code and d.is_node
where p.is_missing
order by p.missing_nights desc nulls first, p.system, p.node_code, p.dataset
limit 200
