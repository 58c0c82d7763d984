-- title: Winners from elsewhere
-- title_cn: 外地企业中标占比
-- question: Which share of the awards of each month goes to winners of the same city, another city, another province?
select month_start_date, flow, sum(wins) as wins, round(sum(wins) / sum(sum(wins)) over (partition by month_start_date), 4) as share
from marts.rpt_flow_monthly
group by month_start_date, flow
order by month_start_date, flow
