"""fct_contract: one row per live contract. Contracts and amounts equal what the sources delivered, node by node."""

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
            select distinct lot_code, contractor_code from serve.fct_contract where _slot = %(slot)s
        ) keys
    ) as duplicate_keys,
    count(*) filter (where type_code not in (
        select type_code from serve.dim_transaction_type where _slot = %(slot)s
    )) as unlisted_types,
    count(*) filter (where source_batch_id not in (select batch_id from visible_at_seq)) as rows_of_hidden_batches,
    count(*) filter (where is_held <> coalesce(contract_price_yuan > %(held_above)s, false)) as wrong_held_flags,
    count(*) filter (where contract_price_yuan < 0) as negative_amounts,
    avg(is_orphan::int)::float8 as orphan_rate,
    avg((signed_at is null)::int)::float8 as undated_rate
from serve.fct_contract
where _slot = %(slot)s
"""

BY_NODE = """
with mart as (
    select node_code, count(*) as mart_contracts, coalesce(sum(contract_price_yuan), 0)::float8 as mart_yuan
    from serve.fct_contract
    where _slot = %(slot)s
    group by node_code
),
source as (
    select node_code, count(*) as source_contracts, coalesce(sum(contract_price_yuan), 0)::float8 as source_yuan
    from live_trading__contract
    group by node_code
)
select
    node_code,
    coalesce(mart_contracts, 0) as mart_contracts,
    coalesce(source_contracts, 0) as source_contracts,
    coalesce(mart_yuan, 0) as mart_yuan,
    coalesce(source_yuan, 0) as source_yuan
from mart
full join source using (node_code)
order by node_code
"""

MEASURES = (
    Measure(
        name="fct_contract",
        sql=WHOLE,
        index="part",
        expectations=lambda: [
            *finished(least_rows=0),
            none("unlisted_types", "every type is in dim_transaction_type, 'unknown' included"),
            none("rows_of_hidden_batches", "no row comes from a batch that is not admitted"),
            none("wrong_held_flags", "amounts above 3 billion yuan, and only they, await confirmation"),
            none("negative_amounts", "no amount is negative"),
            at_most("orphan_rate", 0.1, "contracts whose lot has not arrived"),
            at_most("undated_rate", 0.01, "contracts without a day of signing belong to no month"),
        ],
    ),
    Measure(
        name="fct_contract.by_node",
        sql=BY_NODE,
        index="node_code",
        expectations=lambda: [
            same("mart_contracts", "source_contracts", "a row for each live contract of the node in raw"),
            same("mart_yuan", "source_yuan", "contract prices in yuan equal raw's"),
        ],
    ),
)
