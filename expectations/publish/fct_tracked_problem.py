"""fct_tracked_problem: one row per live tracked problem, node by node as many as the sources delivered."""

from yingshang.quality.measures import by_node, of_mart
from yingshang.quality.rules import at_most, none

MEASURES = (
    of_mart(
        "fct_tracked_problem",
        key="problem_id",
        from_batches=True,
        figures="""
    count(*) filter (where is_resolved <> (resolved_at is not null)) as wrong_states,
    avg((problem_kind = 'unknown')::int)::float8 as unknown_kind_rate,
    avg(is_unknown_village::int)::float8 as unknown_village_rate
    """,
        expectations=lambda: [
            none("wrong_states", "a problem is resolved when it has a time of it"),
            at_most("unknown_kind_rate", 0.01, "problems of no known kind"),
            at_most(
                "unknown_village_rate", 0.01, "villages that the division list does not have: renew the seed divisions"
            ),
        ],
    ),
    by_node(
        "fct_tracked_problem", "sunshine.tracked_problem", {"rows": "a row for each live record of the node in raw"}
    ),
)
