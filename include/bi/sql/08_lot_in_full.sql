-- title: One lot in full
-- title_cn: 标段全程
-- question: What has happened to the lot that was flagged last, from its first notice to its settlement?
select e.lot_key, e.occurred_at, e.stage, e.title, e.amount_yuan
from marts.fct_transaction_event as e
where e.lot_key = (
    select f.lot_key
    from marts.rpt_red_flag as f
    where f.lot_key is not null
    order by f.raised_date desc, f.lot_key
    limit 1
)
order by e.occurred_at
