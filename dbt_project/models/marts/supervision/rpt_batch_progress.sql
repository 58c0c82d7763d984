{{ config(indexes=[{"columns": ["batch_code", "node_code", "environment_code"], "unique": true}]) }}
{%- set night_end = "((" ~ build_context("night") ~ " + 1)::timestamp at time zone 'Asia/Shanghai')" %}

with
    issues as (
        select
            *,
            coalesce(batch_code, 'unknown') as batch,
            case when is_unknown_environment then 'unknown' else environment_code end as environment_key
        from {{ ref("fct_issue") }}
    ),

    progress as (
        select
            batch as batch_code,
            node_code,
            environment_key as environment_code,
            count(*) as assigned_issues,
            count(*) filter (where is_resolved) as resolved_issues,
            count(*) filter (where not is_resolved) as open_issues,
            count(*) filter (where not is_resolved and due_at < {{ night_end }}) as overdue_issues,
            count(*) filter (where not is_resolved and reopenings > 0) as reopened_issues,
            count(*) filter (
                where not is_resolved and verifications = 0 and submissions > 0
            ) as unverified_issues,
            count(*) filter (where is_resolved_late) as resolved_late_issues,
            count(*) filter (where is_out_of_order) as out_of_order_issues,
            count(*) filter (where is_orphan) as orphan_issues,
            coalesce(
                sum(greatest({{ build_context("night") }} - assigned_date, 0)) filter (where not is_resolved),
                0
            ) as open_days,
            max(greatest({{ build_context("night") }} - assigned_date, 0)) filter (
                where not is_resolved
            ) as oldest_open_days
        from issues
        group by batch, node_code, environment_key
    ),

    -- outcomes stand with their issue; those of an unknown issue with their node alone
    outcomes as (
        select
            coalesce(i.batch, 'unknown') as batch_code,
            coalesce(i.node_code, o.node_code) as node_code,
            coalesce(i.environment_key, 'unknown') as environment_code,
            count(*) as outcomes,
            count(*) filter (where o.is_orphan) as orphan_outcomes,
            coalesce(
                sum(o.amount_yuan) filter (where o.outcome_type = 'debt_repaid'), 0
            ) as debts_repaid_yuan,
            coalesce(
                sum(o.amount_yuan) filter (where o.outcome_type = 'execution_paid'), 0
            ) as executions_paid_yuan,
            coalesce(
                sum(o.quantity) filter (where o.outcome_type = 'commitment_fulfilled'), 0
            ) as commitments_fulfilled,
            coalesce(
                sum(o.quantity) filter (where o.outcome_type = 'execution_corrected'), 0
            ) as executions_corrected,
            coalesce(
                sum(o.quantity) filter (where o.outcome_type = 'approval_delegated'), 0
            ) as approvals_delegated
        from {{ ref("fct_issue_outcome") }} as o
        left join issues as i on i.issue_code = o.issue_code
        group by
            coalesce(i.batch, 'unknown'),
            coalesce(i.node_code, o.node_code),
            coalesce(i.environment_key, 'unknown')
    ),

    joined as (select * from progress full join outcomes using (batch_code, node_code, environment_code)),

    final as (
        select
            j.batch_code,
            j.node_code,
            j.environment_code,
            b.batch_no,
            b.batch_name,
            coalesce(n.name, 'unknown') as environment,
            coalesce(j.assigned_issues, 0) as assigned_issues,
            coalesce(j.resolved_issues, 0) as resolved_issues,
            coalesce(j.open_issues, 0) as open_issues,
            coalesce(j.overdue_issues, 0) as overdue_issues,
            coalesce(j.reopened_issues, 0) as reopened_issues,
            coalesce(j.unverified_issues, 0) as unverified_issues,
            coalesce(j.resolved_late_issues, 0) as resolved_late_issues,
            coalesce(j.out_of_order_issues, 0) as out_of_order_issues,
            coalesce(j.orphan_issues, 0) as orphan_issues,
            {{ rate("j.resolved_issues", "j.assigned_issues") }} as completion_rate,
            coalesce(j.open_days, 0) as open_days,
            {{ average("j.open_days", "j.open_issues", 1) }} as average_open_days,
            j.oldest_open_days,
            coalesce(j.outcomes, 0) as outcomes,
            coalesce(j.orphan_outcomes, 0) as orphan_outcomes,
            coalesce(j.debts_repaid_yuan, 0)::numeric(18, 2) as debts_repaid_yuan,
            coalesce(j.executions_paid_yuan, 0)::numeric(18, 2) as executions_paid_yuan,
            coalesce(j.commitments_fulfilled, 0)::bigint as commitments_fulfilled,
            coalesce(j.executions_corrected, 0)::bigint as executions_corrected,
            coalesce(j.approvals_delegated, 0)::bigint as approvals_delegated,
            {{ slot_columns() }}
        from joined as j
        left join {{ ref("dim_batch") }} as b on b.batch_code = j.batch_code
        left join {{ ref("issue_environments") }} as n on n.code = j.environment_code
    )

select *
from final
