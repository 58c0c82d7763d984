{#-
Touched keys of supervision: supervision_batch, issue, issue_event and issue_outcome, each by its own code. An event or an outcome
touches every issue that any of its versions has ever named, visible or not.
-#}
{% macro touched_keys_of_supervision() -%}
    select 'supervision_batch' as kind, key
    from ({{ keys_of_touched_batches("supervision", "batch", "batch_code") }}) as batches
    union all
    select 'issue_event' as kind, key
    from ({{ keys_of_touched_batches("supervision", "issue_event", "event_id") }}) as events
    union all
    select 'issue_outcome' as kind, key
    from ({{ keys_of_touched_batches("supervision", "issue_outcome", "outcome_id") }}) as outcomes
    union all
    select 'issue' as kind, key
    from
        (
            {{ keys_of_touched_batches("supervision", "issue", "issue_code") }}
            union
            {{ parents_of_touched_batches("supervision", "issue_event", "event_id", "issue_code") }}
            union
            {{ parents_of_touched_batches("supervision", "issue_outcome", "outcome_id", "issue_code") }}
        ) as issues
{%- endmacro %}
