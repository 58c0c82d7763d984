"""dim_division_history: division codes and the times they were in force."""

from yingshang.quality.finished import finished, none, same
from yingshang.quality.suites import Measure

WHOLE = """
select
    'all' as part,
    count(*) as rows,
    count(*) filter (where _build_id <> %(build_id)s) as rows_of_another_build,
    count(*) - (
        select count(*) from (
            select distinct division_code, valid_from from serve.dim_division_history where _slot = %(slot)s
        ) keys
    ) as duplicate_keys,
    count(*) filter (where valid_to <= valid_from) as impossible_times,
    count(*) filter (where is_current) as current_divisions,
    count(distinct division_code) filter (where is_current) as current_codes,
    %(nodes)s - count(*) filter (
        where is_current and exists (
            select from serve.dim_division d
            where d._slot = %(slot)s and d.is_node and d.division_code = dim_division_history.division_code
        )
    ) as nodes_not_in_force
from serve.dim_division_history
where _slot = %(slot)s
"""

MEASURES = (
    Measure(
        name="dim_division_history",
        sql=WHOLE,
        index="part",
        expectations=lambda: [
            *finished(least_rows=1),
            none("impossible_times", "an interval begins before it ends"),
            same("current_divisions", "current_codes", "a code is in force once"),
            none("nodes_not_in_force", "the code of each node is in force on the night"),
        ],
    ),
)
