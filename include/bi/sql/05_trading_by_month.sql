-- title: Trading by month
-- title_cn: 逐月交易额
-- question: How many lots were made and how much was awarded, by month and industry, in two years?
select m.month_start_date, m.industry_code, sum(m.lots) as lots, sum(m.awarded_lots) as awarded_lots, sum(m.award_yuan) as award_yuan
from marts.rpt_trading_monthly as m
cross join marts.publication as p
where m.month_start_date > p.night - interval '24 months'
group by m.month_start_date, m.industry_code
order by m.month_start_date, m.industry_code
