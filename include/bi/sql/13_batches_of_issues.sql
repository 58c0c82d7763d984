-- title: Batches of issues
-- title_cn: 问题批次进度
-- question: How far is each batch of issues: assigned, resolved, overdue?
select batch_no, batch_name, sum(assigned_issues) as assigned, sum(resolved_issues) as resolved, sum(overdue_issues) as overdue,
    round(sum(resolved_issues)::numeric / nullif(sum(assigned_issues), 0), 4) as completion_rate
from marts.rpt_batch_progress
group by batch_no, batch_name
order by batch_no
