"""dim_division: the divisions of the province, the nodes among them."""

from yingshang.quality.measures import of_mart
from yingshang.quality.rules import same

MEASURES = (
    of_mart(
        "dim_division",
        key="division_code",
        least_rows=1,
        figures="""
    count(*) filter (where is_node) as nodes,
    %(nodes)s::bigint as registered_nodes
    """,
        expectations=lambda: [same("nodes", "registered_nodes", "each node of the registry is a division")],
    ),
)
