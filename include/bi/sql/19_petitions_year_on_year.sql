-- title: Petitions, year on year
-- title_cn: 信访同比
-- question: How have complaints and reports of the province changed against the year before?
select month_start_date, petitions, petitions_year_before, petition_change_rate
from marts.rpt_sunshine_coverage
where division_level = 'province'
order by month_start_date
