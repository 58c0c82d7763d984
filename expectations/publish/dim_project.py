"""dim_project: one row per live tender project, those that the sources delivered."""

from yingshang.quality.measures import by_node, of_mart
from yingshang.quality.rules import none

MEASURES = (
    of_mart(
        "dim_project",
        key="project_code",
        from_batches=True,
        figures="""
    (
        select count(*)
        from serve.fct_transaction f
        where f._slot = %(slot)s and not f.is_orphan and not exists (
            select from serve.dim_project p where p._slot = %(slot)s and p.project_code = f.project_code
        )
    ) as lots_without_project
    """,
        expectations=lambda: [none("lots_without_project", "a lot that is no orphan has its project here")],
    ),
    by_node("dim_project", "trading.project", {"rows": "a row for each live project of the node in raw"}),
)
