-- title: Trading of one city
-- title_cn: 单市交易
-- question: What did Shenyang (210100) and its counties trade, by transaction type?
select t.type_code, t.type_cn, sum(m.lots) as lots, sum(m.reckon_price_yuan) as reckon_price_yuan, sum(m.award_yuan) as award_yuan
from marts.rpt_trading_monthly as m
inner join marts.dim_transaction_type as t on t.type_code = m.type_code
where m.node_code like '2101%'
group by t.type_code, t.type_cn
order by award_yuan desc
