"""fct_expert_session: one row per live session of an expert."""

from yingshang.quality.finished import at_most, finished, none, same
from yingshang.quality.suites import Measure

WHOLE = """
select
    'all' as part,
    count(*) as rows,
    count(*) filter (where _build_id > %(build_id)s or _build_id not in (
        select build_id from ops.build where schema_name = %(slot)s
    )) as rows_of_another_build,
    count(*) - count(distinct session_code) as duplicate_keys,
    count(*) filter (where source_batch_id not in (select batch_id from visible_at_seq)) as rows_of_hidden_batches,
    avg(is_orphan::int)::float8 as orphan_rate,
    avg((session_kind = 'unknown')::int)::float8 as unknown_kind_rate,
    avg((session_date is null)::int)::float8 as undated_rate
from serve.fct_expert_session
where _slot = %(slot)s
"""

BY_NODE = """
with mart as (
    select node_code, count(*) as mart_rows
    from serve.fct_expert_session
    where _slot = %(slot)s
    group by node_code
),
source as (
    select node_code, count(*) as source_rows
    from live_hotline__expert_session
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
        name="fct_expert_session",
        sql=WHOLE,
        index="part",
        expectations=lambda: [
            *finished(least_rows=0),
            none("rows_of_hidden_batches", "no row comes from a batch that is not admitted"),
            at_most("orphan_rate", 0.1, "sessions whose expert has not arrived"),
            at_most("unknown_kind_rate", 0.05, "kinds in no list: extend the seed hotline_session_kinds"),
            at_most("undated_rate", 0.01, "sessions without a day are in no figure"),
        ],
    ),
    Measure(
        name="fct_expert_session.by_node",
        sql=BY_NODE,
        index="node_code",
        expectations=lambda: [
            same("mart_rows", "source_rows", "a row for each live session of the node in raw"),
        ],
    ),
)
