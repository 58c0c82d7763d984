-- title: Trading by month
-- title_cn: 逐月交易额
-- question: How many lots were made and how much was awarded, by month and industry, in two years?
select month_start_date, industry_code, sum(lots) as lots, sum(awarded_lots) as awarded_lots, sum(award_yuan) as award_yuan
from marts.rpt_trading_monthly
where month_start_date > (select (p.night - interval '24 months')::date from marts.publication as p)
group by month_start_date, industry_code
order by month_start_date, industry_code
