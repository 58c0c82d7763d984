{{ config(post_hook="analyze {{ this }}") }}

-- Each fact is counted once, under the node that delivered its records. Disclosures come from their
-- monthly counts: they are
-- seven eighths of all rows.
with
    counted as (
        select
            'trading' as system,
            node_code,
            count(*) as records,
            count(*) filter (where type_code = 'unknown') as unknown_records,
            count(*) filter (where is_orphan) as orphan_records,
            0::bigint as contradictory_records
        from {{ ref("fct_transaction") }}
        group by node_code
        union all
        select
            'trading',
            node_code,
            count(*),
            count(*) filter (where type_code = 'unknown' or stage = 'unknown'),
            count(*) filter (where is_orphan),
            0
        from {{ ref("fct_transaction_event") }}
        group by node_code
        union all
        select
            'trading',
            node_code,
            count(*),
            count(*) filter (where type_code = 'unknown'),
            count(*) filter (where is_orphan),
            0
        from {{ ref("fct_bid") }}
        group by node_code
        union all
        select
            'supervision',
            source_node_code,
            count(*),
            count(*) filter (where is_unknown_environment or is_unknown_division),
            count(*) filter (where is_orphan),
            0
        from {{ ref("fct_issue") }}
        group by source_node_code
        union all
        -- the node in charge writes the events, so a closing before its assignment is its own
        select 'supervision', node_code, 0, 0, 0, count(*)
        from {{ ref("fct_issue") }}
        where is_out_of_order
        group by node_code
        union all
        select 'supervision', node_code, count(*), 0, count(*) filter (where is_orphan), 0
        from {{ ref("fct_issue_event") }}
        group by node_code
        union all
        select 'supervision', node_code, count(*), 0, count(*) filter (where is_orphan), 0
        from {{ ref("fct_issue_outcome") }}
        group by node_code
        union all
        select
            'hotline',
            node_code,
            count(*),
            count(*) filter (where is_unknown_status or is_unknown_class or is_unknown_division),
            0,
            count(*) filter (where is_out_of_order)
        from {{ ref("fct_work_order") }}
        group by node_code
        union all
        select 'hotline', node_code, count(*), 0, count(*) filter (where is_orphan), 0
        from {{ ref("fct_callback") }}
        group by node_code
        union all
        select 'hotline', node_code, count(*), 0, count(*) filter (where is_orphan), 0
        from {{ ref("fct_expert_session") }}
        group by node_code
        union all
        select 'hotline', node_code, count(*), count(*) filter (where is_unknown_department), 0, 0
        from {{ ref("fct_policy_week") }}
        group by node_code
        union all
        select
            'sunshine',
            left(division_code, 4) || '00',
            sum(disclosures + withdrawn_disclosures)::bigint,
            coalesce(sum(disclosures + withdrawn_disclosures) filter (where is_unknown_division), 0)::bigint,
            0,
            0
        from {{ ref("rpt_sunshine_coverage") }}
        where division_level = 'village' and disclosures + withdrawn_disclosures > 0
        group by left(division_code, 4)
        {%- for fact in ["fct_tracked_problem", "fct_registration", "fct_evaluation", "fct_petition"] %}
            union all
            select 'sunshine', node_code, count(*), count(*) filter (where is_unknown_village), 0, 0
            from {{ ref(fact) }}
            group by node_code
        {%- endfor %}
    ),

    final as (
        select
            system,
            node_code,
            sum(records)::bigint as records,
            sum(unknown_records)::bigint as unknown_records,
            sum(orphan_records)::bigint as orphan_records,
            sum(contradictory_records)::bigint as contradictory_records
        from counted
        group by system, node_code
    )

select *
from final
