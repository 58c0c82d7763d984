"""dim_division_history: division codes and the times they were in force."""

from yingshang.quality.measures import of_mart
from yingshang.quality.rules import none, same

MEASURES = (
    of_mart(
        "dim_division_history",
        key=("division_code", "valid_from"),
        least_rows=1,
        figures="""
    count(*) filter (where valid_to <= valid_from) as impossible_times,
    count(*) filter (where is_current) as current_divisions,
    count(distinct division_code) filter (where is_current) as current_codes,
    %(nodes)s - count(*) filter (
        where is_current and exists (
            select from serve.dim_division d
            where d._slot = %(slot)s and d.is_node and d.division_code = dim_division_history.division_code
        )
    ) as nodes_not_in_force
    """,
        expectations=lambda: [
            none("impossible_times", "an interval begins before it ends"),
            same("current_divisions", "current_codes", "a code is in force once"),
            none("nodes_not_in_force", "the code of each node is in force on the night"),
        ],
    ),
)
