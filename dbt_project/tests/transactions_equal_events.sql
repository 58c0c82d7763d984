-- What the accumulating snapshot says of awards, contracts and settlements is what the events of its lots
-- say.
with
    transactions as (
        select
            sum(awards) as awards,
            sum(contracts) as contracts,
            sum(notices) as notices,
            sum(coalesce(award_yuan, 0) + coalesce(held_award_yuan, 0)) as award_yuan,
            sum(coalesce(contract_yuan, 0) + coalesce(held_contract_yuan, 0)) as contract_yuan,
            sum(coalesce(settled_yuan, 0) + coalesce(held_settled_yuan, 0)) as settled_yuan
        from {{ ref("fct_transaction") }}
    ),

    events as (
        select
            count(*) filter (where dataset = 'result') as awards,
            count(*) filter (where dataset = 'contract') as contracts,
            count(*) filter (where dataset = 'notice') as notices,
            sum(amount_yuan) filter (where dataset = 'result') as award_yuan,
            sum(amount_yuan) filter (where dataset = 'contract') as contract_yuan,
            sum(amount_yuan) filter (where dataset = 'performance') as settled_yuan
        from {{ ref("fct_transaction_event") }}
        where not is_orphan
    )

select t.*, e.*
from transactions as t
cross join events as e
where
    coalesce(t.awards, 0) <> e.awards
    or coalesce(t.contracts, 0) <> e.contracts
    or coalesce(t.notices, 0) <> e.notices
    or coalesce(t.award_yuan, 0) <> coalesce(e.award_yuan, 0)
    or coalesce(t.contract_yuan, 0) <> coalesce(e.contract_yuan, 0)
    or coalesce(t.settled_yuan, 0) <> coalesce(e.settled_yuan, 0)
