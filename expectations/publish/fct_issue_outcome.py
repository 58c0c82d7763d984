"""fct_issue_outcome: one row per live outcome. Outcomes and yuan equal what the nodes delivered."""

from yingshang.quality.finished import at_most, finished, none, same
from yingshang.quality.suites import Measure

WHOLE = """
select
    'all' as part,
    count(*) as rows,
    count(*) filter (where _build_id > %(build_id)s or _build_id not in (
        select build_id from ops.build where schema_name = %(slot)s
    )) as rows_of_another_build,
    count(*) - count(distinct outcome_id) as duplicate_keys,
    count(*) filter (where source_batch_id not in (select batch_id from visible_at_seq)) as rows_of_hidden_batches,
    count(*) filter (where amount_yuan < 0 or quantity < 0) as negative_amounts,
    avg((outcome_type = 'unknown')::int)::float8 as unknown_type_rate,
    avg(is_orphan::int)::float8 as orphan_rate,
    avg((occurred_at is null)::int)::float8 as undated_rate
from serve.fct_issue_outcome
where _slot = %(slot)s
"""

BY_NODE = """
with mart as (
    select node_code, count(*) as mart_rows,
        coalesce(sum(amount_yuan), 0)::float8 as mart_yuan
    from serve.fct_issue_outcome
    where _slot = %(slot)s
    group by node_code
),
source as (
    select node_code, count(*) as source_rows,
        coalesce(sum(amount_yuan), 0)::float8 as source_yuan
    from live_supervision__issue_outcome
    group by node_code
)
select
    node_code,
    coalesce(mart_rows, 0) as mart_rows,
    coalesce(source_rows, 0) as source_rows,
    coalesce(mart_yuan, 0) as mart_yuan,
    coalesce(source_yuan, 0) as source_yuan
from mart
full join source using (node_code)
order by node_code
"""

MEASURES = (
    Measure(
        name="fct_issue_outcome",
        sql=WHOLE,
        index="part",
        expectations=lambda: [
            *finished(least_rows=0),
            none("rows_of_hidden_batches", "no row comes from a batch that is not admitted"),
            none("negative_amounts", "no amount and no number is negative"),
            at_most("unknown_type_rate", 0.05, "outcomes of a type in no list: extend the seed issue_outcome_types"),
            at_most("orphan_rate", 0.1, "outcomes whose issue has not arrived"),
            at_most("undated_rate", 0.01, "outcomes without a time are in no figure"),
        ],
    ),
    Measure(
        name="fct_issue_outcome.by_node",
        sql=BY_NODE,
        index="node_code",
        expectations=lambda: [
            same("mart_rows", "source_rows", "a row for each live outcome of the node in raw"),
            same("mart_yuan", "source_yuan", "amounts of the node in yuan equal raw's"),
        ],
    ),
)
