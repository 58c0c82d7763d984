"""fct_issue: one row per live issue. Issues equal what was delivered, and what is resolved is what their events say."""

from yingshang.quality.measures import by_node, of_mart
from yingshang.quality.rules import at_most, none, same
from yingshang.quality.suites import Measure

BY_BATCH = """
with issues as (
    select issue_code, coalesce(batch_code, 'none') as batch_code, is_resolved
    from serve.fct_issue
    where _slot = %(slot)s
),
last_events as (
    select distinct on (e.issue_code) e.issue_code, e.event_type
    from serve.fct_issue_event e
    where e._slot = %(slot)s and e.occurred_at is not null
    order by e.issue_code, e.occurred_at desc, e.event_id desc
),
verified as (
    select distinct issue_code
    from serve.fct_issue_event
    where _slot = %(slot)s and event_type = 'verified' and occurred_at is not null
)
select
    i.batch_code,
    count(*) filter (where i.is_resolved) as mart_resolved,
    count(*) filter (where l.event_type = 'closed' and v.issue_code is not null) as event_resolved
from issues i
left join last_events l using (issue_code)
left join verified v using (issue_code)
group by i.batch_code
order by i.batch_code
"""

MEASURES = (
    of_mart(
        "fct_issue",
        key="issue_code",
        from_batches=True,
        figures="""
    count(*) filter (where status not in (
        'assigned', 'accepted', 'handling', 'extended', 'submitted', 'verified', 'closed', 'reopened', 'unknown'
    )) as unlisted_statuses,
    count(*) filter (where is_resolved and (status <> 'closed' or verifications = 0)) as resolved_without_cause,
    avg(is_orphan::int)::float8 as orphan_rate,
    avg(is_unknown_environment::int)::float8 as unknown_environment_rate,
    avg(is_unknown_division::int)::float8 as unknown_division_rate,
    avg(is_out_of_order::int)::float8 as out_of_order_rate,
    avg((assigned_at is null)::int)::float8 as undated_rate,
    avg((assigned_date > %(night)s::date + 1)::int)::float8 as future_rate
    """,
        expectations=lambda: [
            none("unlisted_statuses", "every status is a type of event"),
            none("resolved_without_cause", "resolved is closed last and verified before"),
            at_most("orphan_rate", 0.1, "issues whose batch has not arrived"),
            at_most(
                "unknown_environment_rate", 0.05, "environments that are in no list: extend the seed issue_environments"
            ),
            at_most("unknown_division_rate", 0.05, "nodes in charge that the list of divisions does not have"),
            at_most("out_of_order_rate", 0.05, "issues closed before they were assigned"),
            at_most("undated_rate", 0.01, "issues without a time of assignment are in no figure"),
            at_most("future_rate", 0.001, "issues assigned after the night"),
        ],
    ),
    by_node(
        "fct_issue",
        "supervision.issue",
        {"rows": "a row for each live issue of the node in raw"},
        node="source_node_code",
    ),
    Measure(
        name="fct_issue.by_batch",
        sql=BY_BATCH,
        index="batch_code",
        expectations=lambda: [
            same(
                "mart_resolved",
                "event_resolved",
                "resolved are the issues whose last event is closed, after a verified",
            ),
        ],
    ),
)
