"""fct_expert_session: one row per live session of an expert."""

from yingshang.quality.measures import by_node, of_mart
from yingshang.quality.rules import at_most

MEASURES = (
    of_mart(
        "fct_expert_session",
        key="session_code",
        from_batches=True,
        figures="""
    avg(is_orphan::int)::float8 as orphan_rate,
    avg((session_kind = 'unknown')::int)::float8 as unknown_kind_rate,
    avg((session_date is null)::int)::float8 as undated_rate
    """,
        expectations=lambda: [
            at_most("orphan_rate", 0.1, "sessions whose expert has not arrived"),
            at_most("unknown_kind_rate", 0.05, "kinds in no list: extend the seed hotline_session_kinds"),
            at_most("undated_rate", 0.01, "sessions without a day are in no figure"),
        ],
    ),
    by_node("fct_expert_session", "hotline.expert_session", {"rows": "a row for each live session of the node in raw"}),
)
