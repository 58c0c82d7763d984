"""rpt_provision: what each node owes and has delivered. Missing nodes are named, and stop nothing."""

from yingshang.quality.measures import of_mart
from yingshang.quality.rules import at_most
from yingshang.quality.suites import Measure

BY_NODE = """
select system || ' of ' || node_code as node, count(*) filter (where is_missing) as missing_datasets
from serve.rpt_provision
where _slot = %(slot)s
group by system, node_code
order by system, node_code
"""

MEASURES = (
    of_mart(
        "rpt_provision",
        key=("system", "dataset", "node_code"),
        least_rows=1,
        figures="""
    sum(night_quarantined_rows)::float8 / nullif(sum(night_source_rows), 0) as night_reject_rate
    """,
        expectations=lambda: [at_most("night_reject_rate", 0.1, "rows of the night that broke their contract")],
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
