-- title: Outcomes of issues
-- title_cn: 整改成效
-- question: What have the issues brought, in yuan and in numbers, by month?
select date_trunc('month', occurred_date)::date as month_start_date, outcome_type, sum(amount_yuan) as yuan, sum(quantity) as quantity
from marts.fct_issue_outcome
group by date_trunc('month', occurred_date)::date, outcome_type
order by 1, 2
