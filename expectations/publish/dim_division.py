"""dim_division: the divisions of the province, the nodes among them."""

from yingshang.quality.finished import finished, same
from yingshang.quality.suites import Measure

WHOLE = """
select
    'all' as part,
    count(*) as rows,
    count(*) filter (where _build_id <> %(build_id)s) as rows_of_another_build,
    count(*) - count(distinct division_code) as duplicate_keys,
    count(*) filter (where is_node) as nodes,
    %(nodes)s::bigint as registered_nodes
from serve.dim_division
where _slot = %(slot)s
"""

MEASURES = (
    Measure(
        name="dim_division",
        sql=WHOLE,
        index="part",
        expectations=lambda: [
            *finished(),
            same("nodes", "registered_nodes", "each node of the registry is a division"),
        ],
    ),
)
