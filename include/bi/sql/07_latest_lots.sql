-- title: Latest lots of a node
-- title_cn: 最新标段
-- question: Which lots did Dalian (210200) make last, and how far have they come?
select lot_code, lot_name, type_code, created_date, notice_at, awarded_at, signed_at, award_yuan, bids
from marts.fct_transaction
where node_code = '210200' and created_date > (select p.night - 60 from marts.publication as p)
order by created_date desc, lot_code
limit 100
