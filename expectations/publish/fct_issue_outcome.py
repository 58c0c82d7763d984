"""fct_issue_outcome: one row per live outcome. Outcomes and yuan equal what the nodes delivered."""

from yingshang.quality.measures import by_node, of_mart
from yingshang.quality.rules import at_most, none

MEASURES = (
    of_mart(
        "fct_issue_outcome",
        key="outcome_id",
        from_batches=True,
        figures="""
    count(*) filter (where amount_yuan < 0 or quantity < 0) as negative_amounts,
    avg((outcome_type = 'unknown')::int)::float8 as unknown_type_rate,
    avg(is_orphan::int)::float8 as orphan_rate,
    avg((occurred_at is null)::int)::float8 as undated_rate
    """,
        expectations=lambda: [
            none("negative_amounts", "no amount and no number is negative"),
            at_most("unknown_type_rate", 0.05, "outcomes of a type in no list: extend the seed issue_outcome_types"),
            at_most("orphan_rate", 0.1, "outcomes whose issue has not arrived"),
            at_most("undated_rate", 0.01, "outcomes without a time are in no figure"),
        ],
    ),
    by_node(
        "fct_issue_outcome",
        "supervision.issue_outcome",
        {"rows": "a row for each live outcome of the node in raw", "yuan": "amounts of the node in yuan equal raw's"},
        yuan="coalesce(sum(amount_yuan), 0)::float8",
    ),
)
