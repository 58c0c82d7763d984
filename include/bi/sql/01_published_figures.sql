-- title: Published figures
-- title_cn: 公布数据核对
-- question: Do the 24 published figures hold, by how much do they differ, and how old is the oldest contribution?
select figure, system, statement, published_value, value, current_value, unit, verdict, missing_nodes, oldest_contribution_nights
from marts.rpt_published_figure
order by system, figure
