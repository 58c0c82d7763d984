"""fct_policy_week: one row per live week of One Policy Per Week."""

from yingshang.quality.measures import by_node, of_mart
from yingshang.quality.rules import at_most

MEASURES = (
    of_mart(
        "fct_policy_week",
        key="week_code",
        from_batches=True,
        figures="""
    avg(is_unknown_department::int)::float8 as unknown_department_rate
    """,
        expectations=lambda: [at_most("unknown_department_rate", 0.1, "weeks whose department is not there")],
    ),
    by_node("fct_policy_week", "hotline.policy_week", {"rows": "a row for each live week of the node in raw"}),
)
