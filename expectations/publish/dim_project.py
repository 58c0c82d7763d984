"""dim_project: one row per live tender project, those that the sources delivered."""

from yingshang.quality.finished import finished, none, same
from yingshang.quality.suites import Measure

WHOLE = """
select
    'all' as part,
    count(*) as rows,
    count(*) filter (where _build_id <> %(build_id)s) as rows_of_another_build,
    count(*) - count(distinct project_code) as duplicate_keys,
    count(*) filter (where source_batch_id not in (select batch_id from visible_at_seq)) as rows_of_hidden_batches,
    (
        select count(*)
        from serve.fct_transaction f
        where f._slot = %(slot)s and not f.is_orphan and not exists (
            select from serve.dim_project p where p._slot = %(slot)s and p.project_code = f.project_code
        )
    ) as lots_without_project
from serve.dim_project
where _slot = %(slot)s
"""

BY_NODE = """
with mart as (
    select node_code, count(*) as mart_projects from serve.dim_project where _slot = %(slot)s group by node_code
),
source as (
    select node_code, count(*) as source_projects from live_trading__project group by node_code
)
select node_code, coalesce(mart_projects, 0) as mart_projects, coalesce(source_projects, 0) as source_projects
from mart
full join source using (node_code)
order by node_code
"""

MEASURES = (
    Measure(
        name="dim_project",
        sql=WHOLE,
        index="part",
        expectations=lambda: [
            *finished(least_rows=0),
            none("rows_of_hidden_batches", "no row comes from a batch that is not admitted"),
            none("lots_without_project", "a lot that is no orphan has its project here"),
        ],
    ),
    Measure(
        name="dim_project.by_node",
        sql=BY_NODE,
        index="node_code",
        expectations=lambda: [
            same("mart_projects", "source_projects", "a row for each live project of the node in raw"),
        ],
    ),
)
