-- title: Red flags by kind
-- title_cn: 预警线索统计
-- question: How many hints of which kind are there, and for how many lots? Hints, not accusations.
select red_flag_id, red_flag_name, red_flag_name_cn, count(*) as hits, count(distinct lot_key) as lots, max(raised_date) as last_raised_date
from marts.rpt_red_flag
group by red_flag_id, red_flag_name, red_flag_name_cn
order by hits desc
