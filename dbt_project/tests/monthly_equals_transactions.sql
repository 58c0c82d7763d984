-- The monthly report counts every lot once, and every yuan that is not held.
with
    months as (
        select
            sum(lots) as lots,
            sum(reckon_price_yuan) as reckon_price_yuan,
            sum(held_reckon_price_yuan) as held_reckon_price_yuan,
            sum(award_yuan) as award_yuan
        from {{ ref("rpt_trading_monthly") }}
    ),

    transactions as (
        select
            count(*) as lots,
            sum(reckon_price_yuan) filter (where not is_held) as reckon_price_yuan,
            sum(reckon_price_yuan) filter (where is_held) as held_reckon_price_yuan,
            sum(award_yuan) as award_yuan
        from {{ ref("fct_transaction") }}
    )

select m.*, t.*
from months as m
cross join transactions as t
where
    coalesce(m.lots, 0) <> t.lots
    or coalesce(m.reckon_price_yuan, 0) <> coalesce(t.reckon_price_yuan, 0)
    or coalesce(m.held_reckon_price_yuan, 0) <> coalesce(t.held_reckon_price_yuan, 0)
    or coalesce(m.award_yuan, 0) <> coalesce(t.award_yuan, 0)
