"""rpt_provision: what each node owes and has delivered. Missing nodes are named, and stop nothing."""

from yingshang.quality.finished import at_most, finished
from yingshang.quality.suites import Measure

WHOLE = """
select
    'all' as part,
    count(*) as rows,
    count(*) filter (where _build_id <> %(build_id)s) as rows_of_another_build,
    count(*) - (
        select count(*) from (
            select distinct system, dataset, node_code from serve.rpt_provision where _slot = %(slot)s
        ) keys
    ) as duplicate_keys,
    sum(night_quarantined_rows)::float8 / nullif(sum(night_source_rows), 0) as night_reject_rate
from serve.rpt_provision
where _slot = %(slot)s
"""

BY_NODE = """
select system || ' of ' || node_code as node, count(*) filter (where is_missing) as missing_datasets
from serve.rpt_provision
where _slot = %(slot)s
group by system, node_code
order by system, node_code
"""

MEASURES = (
    Measure(
        name="rpt_provision",
        sql=WHOLE,
        index="part",
        expectations=lambda: [
            *finished(),
            at_most("night_reject_rate", 0.1, "rows of the night that broke their contract"),
        ],
    ),
    Measure(
        name="rpt_provision.by_node",
        sql=BY_NODE,
        index="node",
        expectations=lambda: [
            at_most("missing_datasets", 0, "the node owes data of this night: it is shown with its last data"),
        ],
    ),
)
