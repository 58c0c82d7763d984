{{ config(indexes=[{"columns": ["figure"], "unique": true}]) }}
{%- set moments = ["cut_off", "current"] %}
{%- set outcomes = {
    "debts_repaid": ["debt_repaid", "amount_yuan"],
    "commitments_fulfilled": ["commitment_fulfilled", "quantity"],
    "executions_corrected": ["execution_corrected", "quantity"],
    "execution_payments": ["execution_paid", "amount_yuan"],
    "approvals_delegated": ["approval_delegated", "quantity"],
} %}
{%- set problems = {"public_issues_resolved": "public", "potential_issues_resolved": "potential"} %}
-- Each fact is read once. Nothing is computed from the published values: they are compared at the end.
with
    figures as (
        select
            f.figure,
            f.system,
            f.statement,
            f.published_value,
            f.unit,
            f.rule,
            f.cut_off,
            coalesce(e.expected_value, f.published_value) as expected_value,
            coalesce(e.basis, 'published') as basis
        from {{ ref("published_figures") }} as f
        left join {{ ref("figure_expectations") }} as e on e.figure = f.figure
    ),

    -- trading
    types as (
        select type_code, min(industry_code) as industry_code, min(created_at) as first_created_at
        from {{ ref("fct_transaction") }}
        where type_code <> 'unknown'
        group by type_code
    ),

    trading as (
        select
            {%- for moment in moments %}
                count(*) filter (
                    where {{ is_by("first_created_at", "transaction_types", moment) }}
                ) as transaction_types_{{ moment }},
                count(distinct industry_code) filter (
                    where {{ is_by("first_created_at", "transaction_industries", moment) }}
                ) as transaction_industries_{{ moment }}{{ "," if not loop.last }}
            {%- endfor %}
        from types
    ),

    -- hotline: sessions of experts that the register has
    hotline as (
        select
            {%- for moment in moments %}
                count(distinct expert_code) filter (
                    where session_date <= {{ last_day("hotline_experts", moment) }}
                ) as hotline_experts_{{ moment }},
                count(distinct department_code) filter (
                    where session_date <= {{ last_day("hotline_departments", moment) }}
                ) as hotline_departments_{{ moment }}{{ "," if not loop.last }}
            {%- endfor %}
        from {{ ref("fct_expert_session") }}
        where not is_orphan
    ),

    -- supervision: what each issue was on each day that a figure asks for
    issue_figures as (
        select figure, measure, batch_no
        from
            (
                values
                    ('issues_assigned_total', 'assigned', null),
                    ('issues_assigned_batch_1', 'assigned', 1),
                    ('issues_assigned_batch_2', 'assigned', 2),
                    ('issues_resolved_batch_1', 'resolved', 1),
                    ('issues_resolved_batch_2', 'resolved', 2),
                    ('completion_rate_batch_1', 'completion_rate', 1),
                    ('completion_rate_batch_2', 'completion_rate', 2)
            ) as v(figure, measure, batch_no)
    ),

    issue_figure_days as (
        select i.figure, i.measure, i.batch_no, f.cut_off, {{ build_context("night") }} as night
        from issue_figures as i
        inner join figures as f on f.figure = i.figure
    ),

    days as (
        select cut_off as last_day
        from issue_figure_days
        union
        select night
        from issue_figure_days
    ),

    ends as (select last_day, (last_day + 1)::timestamp at time zone 'Asia/Shanghai' as end_at from days),

    resolutions as (
        select
            e.issue_code,
            d.last_day,
            (array_agg(e.event_type order by e.occurred_at desc, e.event_id desc))[1] = 'closed'
            and bool_or(e.event_type = 'verified') as is_resolved
        from ends as d
        inner join {{ ref("fct_issue_event") }} as e on e.occurred_at < d.end_at
        group by e.issue_code, d.last_day
    ),

    issues_of_days as (
        select
            b.batch_no,
            d.last_day,
            count(*) filter (where i.assigned_at < d.end_at) as assigned,
            count(*) filter (where i.assigned_at < d.end_at and r.is_resolved) as resolved
        from ends as d
        cross join {{ ref("fct_issue") }} as i
        left join {{ ref("dim_batch") }} as b on b.batch_code = i.batch_code
        left join resolutions as r on r.issue_code = i.issue_code and r.last_day = d.last_day
        group by b.batch_no, d.last_day
    ),

    supervision_issues as (
        select
            f.figure,
            {%- for moment, day in [("value", "cut_off"), ("current_value", "night")] %}
                case
                    f.measure
                    when 'assigned'
                    then coalesce(sum(i.assigned) filter (where i.last_day = f.{{ day }}), 0)
                    when 'resolved'
                    then coalesce(sum(i.resolved) filter (where i.last_day = f.{{ day }}), 0)
                    else
                        100
                        * sum(i.resolved) filter (where i.last_day = f.{{ day }})
                        / nullif(sum(i.assigned) filter (where i.last_day = f.{{ day }}), 0)
                end as {{ moment }}{{ "," if not loop.last }}
            {%- endfor %}
        from issue_figure_days as f
        left join issues_of_days as i on f.batch_no is null or i.batch_no = f.batch_no
        group by f.figure, f.measure
    ),

    supervision_outcomes as (
        select
            {%- for figure, (outcome_type, amount) in outcomes.items() %}
                {%- for moment in moments %}
                    coalesce(
                        sum({{ amount }}) filter (
                            where
                                outcome_type = '{{ outcome_type }}'
                                and {{ is_by("occurred_at", figure, moment) }}
                        ),
                        0
                    ) as {{ figure }}_{{ moment }}{{ "," if not loop.last }}
                {%- endfor %}
                {{- "," if not loop.last }}
            {%- endfor %}
        from {{ ref("fct_issue_outcome") }}
    ),

    -- sunshine
    villages as (
        select
            village_code,
            bool_or(is_unknown_village) as is_unknown_village,
            {%- for moment in moments %}
                count(*) filter (
                    where not is_withdrawn and {{ is_by("published_at", "sunshine_disclosures", moment) }}
                ) as disclosures_{{ moment }},
                coalesce(
                    bool_or({{ is_by("published_at", "villages_covered", moment) }}), false
                ) as is_covered_{{ moment }}{{ "," if not loop.last }}
            {%- endfor %}
        from {{ ref("fct_disclosure") }}
        group by village_code
    ),

    disclosures as (
        select
            {%- for moment in moments %}
                coalesce(sum(disclosures_{{ moment }}), 0) as sunshine_disclosures_{{ moment }},
                count(*) filter (
                    where is_covered_{{ moment }} and not is_unknown_village
                ) as villages_covered_{{ moment }}{{ "," if not loop.last }}
            {%- endfor %}
        from villages
    ),

    -- counts per village and month are summed by month first, so that months are compared a few times only
    registrations_of_months as (
        select month_start_date, sum(new_users) as new_users
        from {{ ref("fct_registration") }}
        group by month_start_date
    ),

    evaluations_of_months as (
        select month_start_date, sum(participants) as participants, sum(satisfied) as satisfied
        from {{ ref("fct_evaluation") }}
        group by month_start_date
    ),

    petitions_of_months as (
        select month_start_date, sum(complaints + reports) as petitions
        from {{ ref("fct_petition") }}
        group by month_start_date
    ),

    registrations as (
        select
            {%- for moment in moments %}
                coalesce(
                    sum(new_users) filter (
                        where {{ is_month_ended("month_start_date", "sunshine_users", moment) }}
                    ),
                    0
                ) as sunshine_users_{{ moment }}{{ "," if not loop.last }}
            {%- endfor %}
        from registrations_of_months
    ),

    evaluations as (
        select
            {%- for moment in moments %}
                coalesce(
                    sum(participants) filter (
                        where {{ is_month_ended("month_start_date", "evaluation_participants", moment) }}
                    ),
                    0
                ) as evaluation_participants_{{ moment }},
                100.0 * sum(satisfied) filter (
                    where {{ is_month_ended("month_start_date", "evaluation_satisfaction", moment) }}
                )
                / nullif(
                    sum(participants) filter (
                        where {{ is_month_ended("month_start_date", "evaluation_satisfaction", moment) }}
                    ),
                    0
                ) as evaluation_satisfaction_{{ moment }}{{ "," if not loop.last }}
            {%- endfor %}
        from evaluations_of_months
    ),

    petitions as (
        select
            {%- for moment in moments %}
                100.0 * sum(petitions) filter (
                    where {{ is_month_of_year("month_start_date", "petition_change", moment, 0) }}
                )
                / nullif(
                    sum(petitions) filter (
                        where {{ is_month_of_year("month_start_date", "petition_change", moment, 1) }}
                    ),
                    0
                )
                - 100 as petition_change_{{ moment }}{{ "," if not loop.last }}
            {%- endfor %}
        from petitions_of_months
    ),

    problems as (
        select
            {%- for figure, kind in problems.items() %}
                {%- for moment in moments %}
                    count(*) filter (
                        where problem_kind = '{{ kind }}' and {{ is_by("resolved_at", figure, moment) }}
                    ) as {{ figure }}_{{ moment }}{{ "," if not loop.last }}
                {%- endfor %}
                {{- "," if not loop.last }}
            {%- endfor %}
        from {{ ref("fct_tracked_problem") }}
    ),

    computed as (
        {{ values_of("trading", ["transaction_types", "transaction_industries"]) }}
        union all
        {{ values_of("hotline", ["hotline_experts", "hotline_departments"]) }}
        union all
        select figure, value, current_value
        from supervision_issues
        union all
        {{ values_of("supervision_outcomes", outcomes) }}
        union all
        {{ values_of("disclosures", ["sunshine_disclosures", "villages_covered"]) }}
        union all
        {{ values_of("registrations", ["sunshine_users"]) }}
        union all
        {{ values_of("evaluations", ["evaluation_participants", "evaluation_satisfaction"]) }}
        union all
        {{ values_of("petitions", ["petition_change"]) }}
        union all
        {{ values_of("problems", problems) }}
    ),

    -- where a figure comes from: the nodes that provide its datasets, and what has ever come of them
    nodes_of_figures as (
        select
            d.figure,
            p.node_code,
            bool_or(p.last_arrival_night is null) as is_missing,
            min(p.last_arrival_night) as oldest_night
        from
            (
                select figure, system, dataset
                from {{ ref("figure_datasets") }}
                group by figure, system, dataset
            ) as d
        inner join {{ ref("rpt_provision") }} as p on p.system = d.system and p.dataset = d.dataset
        where p.last_arrival_night is not null or p.missing_since_date <= {{ build_context("night") }}
        group by d.figure, p.node_code
    ),

    contributions as (
        select
            figure,
            count(*) filter (where not is_missing) as contributing_nodes,
            string_agg(node_code, ', ' order by node_code) filter (
                where not is_missing
            ) as contributing_node_codes,
            count(*) filter (where is_missing) as missing_nodes,
            string_agg(node_code, ', ' order by node_code) filter (where is_missing) as missing_node_codes,
            min(oldest_night) as oldest_contribution_night
        from nodes_of_figures
        group by figure
    ),

    marts_of_figures as (
        select
            figure,
            string_agg(distinct system || '.' || dataset, ', ' order by system || '.' || dataset) as datasets,
            string_agg(distinct mart, ', ' order by mart) as marts
        from {{ ref("figure_datasets") }}
        group by figure
    ),

    active_villages as (
        select f.figure, count(*) as villages
        from figures as f
        inner join
            {{ ref("dim_division") }} as d
            on d.division_level = 'village'
            and coalesce(d.valid_from, '-infinity') <= f.cut_off
            and coalesce(d.valid_to, 'infinity') > f.cut_off
        where f.rule = 'equal to the active divisions of that level'
        group by f.figure
    ),

    compared as (
        select
            f.*,
            c.value,
            c.current_value,
            case
                when f.basis = 'simulated'
                then abs(c.value - f.expected_value) < 0.000001
                when f.rule = 'equal'
                then c.value = f.expected_value
                when f.rule = 'greater'
                then c.value > f.expected_value
                when f.rule like 'equal after rounding to %'
                then
                    round(c.value / substring(f.rule from '[0-9.]+$')::numeric)
                    * substring(f.rule from '[0-9.]+$')::numeric
                    = f.expected_value
                when f.rule = 'equal to the active divisions of that level'
                then c.value = f.expected_value and c.value = a.villages
            end as is_as_expected
        from figures as f
        left join computed as c on c.figure = f.figure
        left join active_villages as a on a.figure = f.figure
    ),

    final as (
        select
            f.figure,
            f.system,
            f.statement,
            f.published_value::numeric(30, 10) as published_value,
            f.unit,
            f.rule,
            f.cut_off as cut_off_date,
            f.value::numeric(30, 10) as value,
            f.current_value::numeric(30, 10) as current_value,
            f.expected_value::numeric(30, 10) as expected_value,
            f.basis,
            (f.value - f.expected_value)::numeric(30, 10) as difference,
            case
                when coalesce(n.missing_nodes, 0) > 0 or coalesce(n.contributing_nodes, 0) = 0
                then 'incomplete'
                when f.is_as_expected
                then 'holds'
                else 'differs'
            end as verdict,
            coalesce(n.contributing_nodes, 0) as contributing_nodes,
            n.contributing_node_codes,
            coalesce(n.missing_nodes, 0) as missing_nodes,
            n.missing_node_codes,
            {{ build_context("night") }} - n.oldest_contribution_night as oldest_contribution_nights,
            m.datasets,
            m.marts,
            {{ slot_columns() }}
        from compared as f
        left join contributions as n on n.figure = f.figure
        left join marts_of_figures as m on m.figure = f.figure
    )

select *
from final
