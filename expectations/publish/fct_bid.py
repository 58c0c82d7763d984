"""fct_bid: one row per live bid. Bids and amounts equal what the sources delivered, node by node."""

from yingshang.quality.measures import by_node, of_mart
from yingshang.quality.rules import at_most, none

MEASURES = (
    of_mart(
        "fct_bid",
        key=("lot_code", "bidder_code"),
        least_rows=1,
        from_batches=True,
        figures="""
    count(*) filter (where type_code not in (
        select type_code from serve.dim_transaction_type where _slot = %(slot)s
    )) as unlisted_types,
    count(*) filter (where is_held <> coalesce(bid_price_yuan > %(held_above)s, false)) as wrong_held_flags,
    count(*) filter (where bid_price_yuan < 0) as negative_amounts,
    avg((type_code = 'unknown')::int)::float8 as unknown_type_rate,
    avg(is_orphan::int)::float8 as orphan_rate
    """,
        expectations=lambda: [
            none("unlisted_types", "every type is in dim_transaction_type, 'unknown' included"),
            none("wrong_held_flags", "amounts above 3 billion yuan, and only they, await confirmation"),
            none("negative_amounts", "no amount is negative"),
            at_most("unknown_type_rate", 0.05, "types that map to nothing: extend the seed deal_type_map"),
            at_most("orphan_rate", 0.1, "bids whose lot has not arrived"),
        ],
    ),
    by_node(
        "fct_bid",
        "trading.bid",
        {"rows": "a row for each live bid of the node in raw", "yuan": "bid prices in yuan equal raw's"},
        yuan="coalesce(sum(bid_price_yuan), 0)::float8",
    ),
)
