-- title: Hotline by class
-- title_cn: 热线诉求分类
-- question: What do people call about, month by month?
select month_start_date, class_group_code, sum(orders) as orders
from marts.rpt_hotline_kpi
group by month_start_date, class_group_code
order by month_start_date, class_group_code
