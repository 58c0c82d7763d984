"""fct_callback: one row per live callback, its work order there or not."""

from yingshang.quality.finished import at_most, finished, none, same
from yingshang.quality.suites import Measure

WHOLE = """
select
    'all' as part,
    count(*) as rows,
    count(*) filter (where _build_id > %(build_id)s or _build_id not in (
        select build_id from ops.build where schema_name = %(slot)s
    )) as rows_of_another_build,
    count(*) - count(distinct callback_id) as duplicate_keys,
    count(*) filter (where source_batch_id not in (select batch_id from visible_at_seq)) as rows_of_hidden_batches,
    count(*) filter (where satisfaction_code not in ('1', '2', '3', '4')) as unlisted_ratings,
    avg(is_orphan::int)::float8 as orphan_rate,
    avg((called_back_at is null)::int)::float8 as undated_rate
from serve.fct_callback
where _slot = %(slot)s
"""

BY_NODE = """
with mart as (
    select node_code, count(*) as mart_rows
    from serve.fct_callback
    where _slot = %(slot)s
    group by node_code
),
source as (
    select node_code, count(*) as source_rows
    from live_hotline__callback
    group by node_code
)
select
    node_code,
    coalesce(mart_rows, 0) as mart_rows,
    coalesce(source_rows, 0) as source_rows
from mart
full join source using (node_code)
order by node_code
"""

MEASURES = (
    Measure(
        name="fct_callback",
        sql=WHOLE,
        index="part",
        expectations=lambda: [
            *finished(least_rows=0),
            none("rows_of_hidden_batches", "no row comes from a batch that is not admitted"),
            none("unlisted_ratings", "a rating is 1 to 4, or missing"),
            at_most("orphan_rate", 0.1, "callbacks whose work order has not arrived"),
            at_most("undated_rate", 0.01, "callbacks without a time come last"),
        ],
    ),
    Measure(
        name="fct_callback.by_node",
        sql=BY_NODE,
        index="node_code",
        expectations=lambda: [
            same("mart_rows", "source_rows", "a row for each live callback of the node in raw"),
        ],
    ),
)
