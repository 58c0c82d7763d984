-- title: Sunshine by city
-- title_cn: 阳光三务覆盖
-- question: How many villages of each city disclosed something in the last whole month, on time, and how satisfied are residents?
select s.division_code, s.division_name, s.villages, s.villages_active, s.coverage_rate, s.published_disclosures, s.timely_rate, s.satisfaction_rate
from marts.rpt_sunshine_coverage as s
where s.division_level = 'city' and s.month_start_date = (select (date_trunc('month', p.night) - interval '1 month')::date from marts.publication as p)
order by s.division_code
