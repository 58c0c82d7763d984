-- title: Flows between regions
-- title_cn: 跨区域交易流向
-- question: From which provinces and cities do the winners come, and where do they win?
select coalesce(bidder_city_code, bidder_province_code) as bidder_home, region_city_code, sum(wins) as wins, sum(won_yuan) as won_yuan
from marts.rpt_flow_yearly
group by coalesce(bidder_city_code, bidder_province_code), region_city_code
order by wins desc, bidder_home, region_city_code
