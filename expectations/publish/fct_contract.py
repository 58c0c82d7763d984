"""fct_contract: one row per live contract. Contracts and amounts equal what the sources delivered, node by node."""

from yingshang.quality.measures import by_node, of_mart
from yingshang.quality.rules import at_most, none

MEASURES = (
    of_mart(
        "fct_contract",
        key=("lot_code", "contractor_code"),
        from_batches=True,
        figures="""
    count(*) filter (where type_code not in (
        select type_code from serve.dim_transaction_type where _slot = %(slot)s
    )) as unlisted_types,
    count(*) filter (where is_held <> coalesce(contract_price_yuan > %(held_above)s, false)) as wrong_held_flags,
    count(*) filter (where contract_price_yuan < 0) as negative_amounts,
    avg(is_orphan::int)::float8 as orphan_rate,
    avg((signed_at is null)::int)::float8 as undated_rate
    """,
        expectations=lambda: [
            none("unlisted_types", "every type is in dim_transaction_type, 'unknown' included"),
            none("wrong_held_flags", "amounts above 3 billion yuan, and only they, await confirmation"),
            none("negative_amounts", "no amount is negative"),
            at_most("orphan_rate", 0.1, "contracts whose lot has not arrived"),
            at_most("undated_rate", 0.01, "contracts without a day of signing belong to no month"),
        ],
    ),
    by_node(
        "fct_contract",
        "trading.contract",
        {"rows": "a row for each live contract of the node in raw", "yuan": "contract prices in yuan equal raw's"},
        yuan="coalesce(sum(contract_price_yuan), 0)::float8",
    ),
)
