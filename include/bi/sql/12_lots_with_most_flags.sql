-- title: Lots with the most red flags
-- title_cn: 多条线索标段
-- question: Which lots of the last twelve months have several hints at once, and why? Hints, not accusations.
select f.lot_key, min(f.node_code) as node_code, count(*) as hits, string_agg(f.reason, ' ' order by f.red_flag_id) as reasons
from marts.rpt_red_flag as f
cross join marts.publication as p
where f.lot_key is not null and f.raised_date > p.night - 365
group by f.lot_key
having count(*) > 1
order by hits desc, f.lot_key
limit 50
