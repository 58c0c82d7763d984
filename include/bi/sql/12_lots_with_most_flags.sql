-- title: Lots with the most red flags
-- title_cn: 多条线索标段
-- question: Which lots of the last twelve months have several hints at once, and why? Hints, not accusations.
with
    lots as (
        select lot_key, count(*) as hits
        from marts.rpt_red_flag
        where lot_key is not null and raised_date > (select p.night - 365 from marts.publication as p)
        group by lot_key
        having count(*) > 1
        order by hits desc, lot_key
        limit 50
    )
select f.lot_key, min(f.node_code) as node_code, count(*) as hits, string_agg(f.reason, ' ' order by f.red_flag_id) as reasons
from lots as l
inner join marts.rpt_red_flag as f on f.lot_key = l.lot_key
where f.raised_date > (select p.night - 365 from marts.publication as p)
group by f.lot_key
order by hits desc, f.lot_key
