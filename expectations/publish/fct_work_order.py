"""fct_work_order: one row per live work order. Orders equal what the cities delivered."""

from yingshang.quality.finished import at_most, finished, none, same
from yingshang.quality.suites import Measure

WHOLE = """
select
    'all' as part,
    count(*) as rows,
    count(*) filter (where _build_id > %(build_id)s or _build_id not in (
        select build_id from ops.build where schema_name = %(slot)s
    )) as rows_of_another_build,
    count(*) - count(distinct order_no) as duplicate_keys,
    count(*) filter (where source_batch_id not in (select batch_id from visible_at_seq)) as rows_of_hidden_batches,
    count(*) filter (where status not in (
        'accepted', 'dispatched', 'handling', 'replied', 'closed', 'called_back', 'evaluated', 'withdrawn', 'unknown'
    )) as unlisted_statuses,
    count(*) filter (where is_contacted_on_time and is_contacted_late) as contacted_twice,
    avg(is_unknown_status::int)::float8 as unknown_status_rate,
    avg(is_unknown_class::int)::float8 as unknown_class_rate,
    avg(is_unknown_division::int)::float8 as unknown_division_rate,
    avg(is_out_of_order::int)::float8 as out_of_order_rate,
    avg((accepted_at is null)::int)::float8 as undated_rate,
    avg((accepted_date > %(night)s::date + 1)::int)::float8 as future_rate
from serve.fct_work_order
where _slot = %(slot)s
"""

BY_NODE = """
with mart as (
    select node_code, count(*) as mart_rows
    from serve.fct_work_order
    where _slot = %(slot)s
    group by node_code
),
source as (
    select node_code, count(*) as source_rows
    from live_hotline__work_order
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
        name="fct_work_order",
        sql=WHOLE,
        index="part",
        expectations=lambda: [
            *finished(least_rows=0),
            none("rows_of_hidden_batches", "no row comes from a batch that is not admitted"),
            none("unlisted_statuses", "every status is one of the project"),
            none("contacted_twice", "the first contact is on time or late"),
            at_most(
                "unknown_status_rate", 0.05, "words of cities that map to nothing: extend the seed hotline_status_map"
            ),
            at_most("unknown_class_rate", 0.05, "classes in no list: extend the seed hotline_classes"),
            at_most("unknown_division_rate", 0.05, "divisions that the list does not have"),
            at_most("out_of_order_rate", 0.05, "orders whose times run backwards"),
            at_most("undated_rate", 0.01, "orders without a time of acceptance belong to no month"),
            at_most("future_rate", 0.001, "orders accepted after the night"),
        ],
    ),
    Measure(
        name="fct_work_order.by_node",
        sql=BY_NODE,
        index="node_code",
        expectations=lambda: [
            same("mart_rows", "source_rows", "a row for each live work order of the node in raw"),
        ],
    ),
)
