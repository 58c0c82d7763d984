"""fct_issue_event: one row per live event of an issue, its issue there or not."""

from yingshang.quality.finished import at_most, finished, none, same
from yingshang.quality.suites import Measure

WHOLE = """
select
    'all' as part,
    count(*) as rows,
    count(*) filter (where _build_id > %(build_id)s or _build_id not in (
        select build_id from ops.build where schema_name = %(slot)s
    )) as rows_of_another_build,
    count(*) - count(distinct event_id) as duplicate_keys,
    count(*) filter (where source_batch_id not in (select batch_id from visible_at_seq)) as rows_of_hidden_batches,
    count(*) filter (where event_type not in (
        'assigned', 'accepted', 'handling', 'extended', 'submitted', 'verified', 'closed', 'reopened', 'unknown'
    )) as unlisted_types,
    avg((event_type = 'unknown')::int)::float8 as unknown_type_rate,
    avg(is_orphan::int)::float8 as orphan_rate,
    avg((occurred_at is null)::int)::float8 as undated_rate,
    avg((occurred_date > %(night)s::date + 1)::int)::float8 as future_rate
from serve.fct_issue_event
where _slot = %(slot)s
"""

BY_NODE = """
with mart as (
    select node_code, count(*) as mart_rows
    from serve.fct_issue_event
    where _slot = %(slot)s
    group by node_code
),
source as (
    select node_code, count(*) as source_rows
    from live_supervision__issue_event
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
        name="fct_issue_event",
        sql=WHOLE,
        index="part",
        expectations=lambda: [
            *finished(least_rows=0),
            none("rows_of_hidden_batches", "no row comes from a batch that is not admitted"),
            none("unlisted_types", "every type of event is known"),
            at_most("unknown_type_rate", 0.05, "events without a type"),
            at_most("orphan_rate", 0.1, "events whose issue has not arrived"),
            at_most("undated_rate", 0.01, "events without a time have no place in the order"),
            at_most("future_rate", 0.001, "events after the night"),
        ],
    ),
    Measure(
        name="fct_issue_event.by_node",
        sql=BY_NODE,
        index="node_code",
        expectations=lambda: [
            same("mart_rows", "source_rows", "a row for each live event of the node in raw"),
        ],
    ),
)
