{{ config(indexes=[{"columns": ["lot_code"], "unique": true}], post_hook="analyze {{ this }}") }}

-- What red flags are judged by, per lot; empty where a record is missing, is not one of its kind, or awaits
-- confirmation. Days are those of Shanghai, since many nodes write no time.
with
    lots as (
        select t.*, k.national_class
        from {{ ref("fct_transaction") }} as t
        inner join {{ ref("dim_transaction_type") }} as k on k.type_code = t.type_code
        where not t.is_withdrawn and t.notices + t.bids + t.awards + t.contracts > 0
    ),

    projects as (select project_code, tenderer_code, tender_mode from {{ ref("dim_project") }}),

    -- a change of the notice may put the deadline off
    deadlines as (
        select lot_code, max(documents_until_at) as deadline_at
        from {{ ref("int_trading__notices_exploded") }}
        where stage in ('notice', 'clarification') and lot_code is not null and not is_deleted
        group by lot_code
    ),

    winners as (
        select e.lot_code, max(e.organization_code) as winner_code
        from {{ ref("fct_transaction_event") }} as e
        where e.dataset = 'result' and not e.is_orphan
        group by e.lot_code
        having count(*) = 1
    ),

    bids as (
        select
            b.lot_code,
            count(*) filter (where b.is_lost) as rejected_bids,
            count(*) filter (where b.is_lost is null) as unjudged_bids,
            count(*) filter (where b.bidder_code = w.winner_code) as winner_bids,
            count(*) filter (where b.bidder_code = w.winner_code and b.is_lost) as winner_rejected_bids,
            max(b.submitted_at) filter (where b.bidder_code = w.winner_code) as winner_submitted_at,
            max(b.bid_price_yuan) filter (where b.bidder_code = w.winner_code) as winning_price_yuan,
            min(b.bid_price_yuan) filter (
                where b.bidder_code <> w.winner_code and not b.is_lost
            ) as other_valid_price_yuan,
            min(b.bid_price_yuan) filter (where not b.is_lost) as lowest_valid_price_yuan,
            min(b.bid_price_yuan) filter (where b.is_lost) as lowest_rejected_price_yuan
        from {{ ref("fct_bid") }} as b
        left join winners as w on w.lot_code = b.lot_code
        where not b.is_orphan
        group by b.lot_code
    ),

    same_prices as (
        select lot_code, bid_price_yuan, count(*) as bids
        from {{ ref("fct_bid") }}
        where bid_price_yuan > 0 and not is_orphan
        group by lot_code, bid_price_yuan
        having count(*) > 1
    ),

    most_same as (
        select lot_code, max(bids) as same_price_bids, min(bid_price_yuan) as same_price_yuan
        from (select *, max(bids) over (partition by lot_code) as most from same_prices) as ranked
        where bids = most
        group by lot_code
    ),

    performances as (
        select lot_code, change_content
        from {{ ref("stg_trading__performance") }}
        where not is_deleted and trim(change_content) <> ''
    ),

    final as (
        select
            l.lot_code,
            l.project_code,
            l.deal_code,
            l.node_code,
            l.region_code,
            l.type_code,
            l.industry_code,
            l.national_class,
            p.tenderer_code as buyer_code,
            p.tender_mode,
            w.winner_code,
            l.bids,
            coalesce(b.rejected_bids, 0) as rejected_bids,
            coalesce(b.unjudged_bids, 0) as unjudged_bids,
            coalesce(b.winner_bids, 0) as winner_bids,
            coalesce(b.winner_rejected_bids, 0) as winner_rejected_bids,
            l.awards,
            l.contracts,
            {{ shanghai_day("l.notice_at") }} as notice_date,
            {{ shanghai_day("d.deadline_at") }} as deadline_date,
            {{ shanghai_day("b.winner_submitted_at") }} as winner_submitted_date,
            {{ shanghai_day("l.awarded_at") }} as awarded_date,
            {{ shanghai_day("l.result_at") }} as result_date,
            {{ shanghai_day("l.signed_at") }} as signed_date,
            {{ shanghai_day("l.contract_at") }} as contract_date,
            {{ shanghai_day("l.settled_at") }} as settled_date,
            case when not l.is_held then l.reckon_price_yuan end as reckon_price_yuan,
            case when l.awards = 1 then l.award_yuan end as award_yuan,
            case when l.contracts = 1 then l.contract_yuan end as contract_yuan,
            l.settled_yuan,
            b.winning_price_yuan,
            case
                when b.winning_price_yuan <= b.other_valid_price_yuan then b.other_valid_price_yuan
            end as second_price_yuan,
            b.lowest_valid_price_yuan,
            b.lowest_rejected_price_yuan,
            s.same_price_bids,
            s.same_price_yuan,
            c.change_content is not null as is_changed
        from lots as l
        left join projects as p on p.project_code = l.project_code
        left join deadlines as d on d.lot_code = l.lot_code
        left join winners as w on w.lot_code = l.lot_code
        left join bids as b on b.lot_code = l.lot_code
        left join most_same as s on s.lot_code = l.lot_code
        left join performances as c on c.lot_code = l.lot_code
    )

select *
from final
