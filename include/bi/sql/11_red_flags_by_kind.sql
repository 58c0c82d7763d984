-- title: Red flags by kind
-- title_cn: 预警线索统计
-- question: How many hints of which kind are there, and for how many lots? Hints, not accusations.
select red_flag_id, any_value(red_flag_name) as red_flag_name, any_value(red_flag_name_cn) as red_flag_name_cn,
    sum(hits)::bigint as hits, sum(lots)::bigint as lots, max(last_raised_date) as last_raised_date
from marts.rpt_red_flag_monthly
group by red_flag_id
order by hits desc, red_flag_id
