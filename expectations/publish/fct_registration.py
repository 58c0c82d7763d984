"""fct_registration: new users per village and month, one row for each that the province delivered."""

from yingshang.quality.measures import by_node, of_mart
from yingshang.quality.rules import at_most, none

MEASURES = (
    of_mart(
        "fct_registration",
        key="village_month_key",
        from_batches=True,
        figures="""
    count(*) filter (where new_users < 0) as negative_counts,
    avg(is_unknown_village::int)::float8 as unknown_village_rate
    """,
        expectations=lambda: [
            none("negative_counts", "no count is negative"),
            at_most(
                "unknown_village_rate", 0.01, "villages that the division list does not have: renew the seed divisions"
            ),
        ],
    ),
    by_node("fct_registration", "sunshine.registration", {"rows": "a row for each live record of the node in raw"}),
)
