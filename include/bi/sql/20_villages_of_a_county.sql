-- title: Villages of one county
-- title_cn: 县域村级明细
-- question: Which villages of one county were silent in the last whole month?
select s.division_code, s.division_name, s.disclosures, s.published_disclosures, s.petitions
from marts.rpt_sunshine_coverage as s
where s.division_level = 'village'
    and s.month_start_date = (select (date_trunc('month', p.night) - interval '1 month')::date from marts.publication as p)
    and s.division_code >= '210102'
    and s.division_code < '210103'
order by s.disclosures, s.division_code
