"""fct_evaluation: residents who rated per village and month, one row for each that the province delivered."""

from yingshang.quality.measures import by_node, of_mart
from yingshang.quality.rules import at_most, none

MEASURES = (
    of_mart(
        "fct_evaluation",
        key="village_month_key",
        from_batches=True,
        figures="""
    count(*) filter (where participants < 0 or satisfied < 0) as negative_counts,
    count(*) filter (where satisfied > participants) as more_satisfied_than_rated,
    avg(is_unknown_village::int)::float8 as unknown_village_rate
    """,
        expectations=lambda: [
            none("negative_counts", "no count is negative"),
            none("more_satisfied_than_rated", "the contract quarantines such rows"),
            at_most(
                "unknown_village_rate", 0.01, "villages that the division list does not have: renew the seed divisions"
            ),
        ],
    ),
    by_node("fct_evaluation", "sunshine.evaluation", {"rows": "a row for each live record of the node in raw"}),
)
