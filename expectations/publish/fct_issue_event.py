"""fct_issue_event: one row per live event of an issue, its issue there or not."""

from yingshang.quality.measures import by_node, of_mart
from yingshang.quality.rules import at_most, none

MEASURES = (
    of_mart(
        "fct_issue_event",
        key="event_id",
        from_batches=True,
        figures="""
    count(*) filter (where event_type not in (
        'assigned', 'accepted', 'handling', 'extended', 'submitted', 'verified', 'closed', 'reopened', 'unknown'
    )) as unlisted_types,
    avg((event_type = 'unknown')::int)::float8 as unknown_type_rate,
    avg(is_orphan::int)::float8 as orphan_rate,
    avg((occurred_at is null)::int)::float8 as undated_rate,
    avg((occurred_date > %(night)s::date + 1)::int)::float8 as future_rate
    """,
        expectations=lambda: [
            none("unlisted_types", "every type of event is known"),
            at_most("unknown_type_rate", 0.05, "events without a type"),
            at_most("orphan_rate", 0.1, "events whose issue has not arrived"),
            at_most("undated_rate", 0.01, "events without a time have no place in the order"),
            at_most("future_rate", 0.001, "events after the night"),
        ],
    ),
    by_node("fct_issue_event", "supervision.issue_event", {"rows": "a row for each live event of the node in raw"}),
)
