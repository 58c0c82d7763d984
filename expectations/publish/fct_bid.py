"""fct_bid: one row per live bid. Bids and amounts equal what the sources delivered, node by node."""

from yingshang.quality.finished import at_most, finished, none, same
from yingshang.quality.suites import Measure

WHOLE = """
select
    'all' as part,
    count(*) as rows,
    count(*) filter (where _build_id > %(build_id)s or _build_id not in (
        select build_id from ops.build where schema_name = %(slot)s
    )) as rows_of_another_build,
    count(*) - (
        select count(*) from (
            select distinct lot_code, bidder_code from serve.fct_bid where _slot = %(slot)s
        ) keys
    ) as duplicate_keys,
    count(*) filter (where type_code not in (
        select type_code from serve.dim_transaction_type where _slot = %(slot)s
    )) as unlisted_types,
    count(*) filter (where source_batch_id not in (select batch_id from visible_at_seq)) as rows_of_hidden_batches,
    count(*) filter (where is_held <> coalesce(bid_price_yuan > %(held_above)s, false)) as wrong_held_flags,
    count(*) filter (where bid_price_yuan < 0) as negative_amounts,
    avg((type_code = 'unknown')::int)::float8 as unknown_type_rate,
    avg(is_orphan::int)::float8 as orphan_rate
from serve.fct_bid
where _slot = %(slot)s
"""

BY_NODE = """
with mart as (
    select node_code, count(*) as mart_bids, coalesce(sum(bid_price_yuan), 0)::float8 as mart_yuan
    from serve.fct_bid
    where _slot = %(slot)s
    group by node_code
),
source as (
    select node_code, count(*) as source_bids, coalesce(sum(bid_price_yuan), 0)::float8 as source_yuan
    from live_trading__bid
    group by node_code
)
select
    node_code,
    coalesce(mart_bids, 0) as mart_bids,
    coalesce(source_bids, 0) as source_bids,
    coalesce(mart_yuan, 0) as mart_yuan,
    coalesce(source_yuan, 0) as source_yuan
from mart
full join source using (node_code)
order by node_code
"""

MEASURES = (
    Measure(
        name="fct_bid",
        sql=WHOLE,
        index="part",
        expectations=lambda: [
            *finished(),
            none("unlisted_types", "every type is in dim_transaction_type, 'unknown' included"),
            none("rows_of_hidden_batches", "no row comes from a batch that is not admitted"),
            none("wrong_held_flags", "amounts above 3 billion yuan, and only they, await confirmation"),
            none("negative_amounts", "no amount is negative"),
            at_most("unknown_type_rate", 0.05, "types that map to nothing: extend the seed deal_type_map"),
            at_most("orphan_rate", 0.1, "bids whose lot has not arrived"),
        ],
    ),
    Measure(
        name="fct_bid.by_node",
        sql=BY_NODE,
        index="node_code",
        expectations=lambda: [
            same("mart_bids", "source_bids", "a row for each live bid of the node in raw"),
            same("mart_yuan", "source_yuan", "bid prices in yuan equal raw's"),
        ],
    ),
)
