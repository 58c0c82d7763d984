"""fct_callback: one row per live callback, its work order there or not."""

from yingshang.quality.measures import by_node, of_mart
from yingshang.quality.rules import at_most, none

MEASURES = (
    of_mart(
        "fct_callback",
        key="callback_id",
        from_batches=True,
        figures="""
    count(*) filter (where satisfaction_code not in ('1', '2', '3', '4')) as unlisted_ratings,
    avg(is_orphan::int)::float8 as orphan_rate,
    avg((called_back_at is null)::int)::float8 as undated_rate
    """,
        expectations=lambda: [
            none("unlisted_ratings", "a rating is 1 to 4, or missing"),
            at_most("orphan_rate", 0.1, "callbacks whose work order has not arrived"),
            at_most("undated_rate", 0.01, "callbacks without a time come last"),
        ],
    ),
    by_node("fct_callback", "hotline.callback", {"rows": "a row for each live callback of the node in raw"}),
)
