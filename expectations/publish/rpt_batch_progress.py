"""rpt_batch_progress: progress per batch, node and environment. Its sums are those of the facts."""

from yingshang.quality.measures import of_mart
from yingshang.quality.rules import none, same
from yingshang.quality.suites import Measure

BY_NODE = """
with progress as (
    select
        node_code,
        sum(assigned_issues)::bigint as report_issues,
        sum(resolved_issues)::bigint as report_resolved
    from serve.rpt_batch_progress
    where _slot = %(slot)s
    group by node_code
),
facts as (
    select node_code, count(*) as fact_issues, count(*) filter (where is_resolved) as fact_resolved
    from serve.fct_issue
    where _slot = %(slot)s
    group by node_code
)
select
    node_code,
    coalesce(report_issues, 0) as report_issues,
    coalesce(fact_issues, 0) as fact_issues,
    coalesce(report_resolved, 0) as report_resolved,
    coalesce(fact_resolved, 0) as fact_resolved
from progress
full join facts using (node_code)
order by node_code
"""

OUTCOMES = """
with report as (
    select
        sum(outcomes)::bigint as report_outcomes,
        sum(debts_repaid_yuan)::float8 as report_debts,
        sum(executions_paid_yuan)::float8 as report_payments
    from serve.rpt_batch_progress
    where _slot = %(slot)s
),
facts as (
    select
        count(*) as fact_outcomes,
        coalesce(sum(amount_yuan) filter (where outcome_type = 'debt_repaid'), 0)::float8 as fact_debts,
        coalesce(sum(amount_yuan) filter (where outcome_type = 'execution_paid'), 0)::float8 as fact_payments
    from serve.fct_issue_outcome
    where _slot = %(slot)s
)
select
    'all' as part,
    coalesce(report_outcomes, 0) as report_outcomes,
    fact_outcomes,
    coalesce(report_debts, 0) as report_debts,
    fact_debts,
    coalesce(report_payments, 0) as report_payments,
    fact_payments
from report
cross join facts
"""

MEASURES = (
    of_mart(
        "rpt_batch_progress",
        key=("batch_code", "node_code", "environment_code"),
        figures="""
    count(*) filter (where completion_rate not between 0 and 1) as rates_out_of_bounds,
    count(*) filter (where resolved_issues + open_issues <> assigned_issues) as uneven_counts
    """,
        expectations=lambda: [
            none("rates_out_of_bounds", "a completion rate lies between 0 and 1"),
            none("uneven_counts", "an issue is resolved or open"),
        ],
    ),
    Measure(
        name="rpt_batch_progress.by_node",
        sql=BY_NODE,
        index="node_code",
        expectations=lambda: [
            same("report_issues", "fact_issues", "every issue is counted once, at its node in charge"),
            same("report_resolved", "fact_resolved", "resolved issues are those of fct_issue"),
        ],
    ),
    Measure(
        name="rpt_batch_progress.outcomes",
        sql=OUTCOMES,
        index="part",
        expectations=lambda: [
            same("report_outcomes", "fact_outcomes", "every outcome is counted once, those of unknown issues too"),
            same("report_debts", "fact_debts", "debts repaid in yuan are those of fct_issue_outcome"),
            same("report_payments", "fact_payments", "execution payments in yuan are those of fct_issue_outcome"),
        ],
    ),
)
