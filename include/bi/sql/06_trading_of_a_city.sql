-- title: Trading of one city
-- title_cn: 单市交易
-- question: What did Shenyang (210100) and its counties trade, by transaction type?
select t.type_code, t.type_cn, m.lots, m.reckon_price_yuan, m.award_yuan
from (
    select type_code, sum(lots) as lots, sum(reckon_price_yuan) as reckon_price_yuan, sum(award_yuan) as award_yuan
    from marts.rpt_trading_monthly
    where node_code >= '210100' and node_code < '210200'
    group by type_code
) as m
inner join marts.dim_transaction_type as t on t.type_code = m.type_code
order by m.award_yuan desc
