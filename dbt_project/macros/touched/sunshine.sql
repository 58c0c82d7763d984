{#-
Touched keys of sunshine: disclosure and tracked_problem by their own ids; registration, evaluation and petition, which come per
village and month, by village_code/yyyyMM.
-#}
{% macro touched_keys_of_sunshine() -%}
    select 'disclosure' as kind, key
    from ({{ keys_of_touched_batches("sunshine", "disclosure", "disclosure_id") }}) as disclosures
    union all
    select 'tracked_problem' as kind, key
    from ({{ keys_of_touched_batches("sunshine", "tracked_problem", "problem_id") }}) as problems
    {%- for dataset in ["registration", "evaluation", "petition"] %}
        union all
        select '{{ dataset }}' as kind, key
        from
            (
                {{ keys_of_touched_batches("sunshine", dataset, "village_code || '/' || v.stat_month") }}
            ) as {{ dataset }}_keys
    {%- endfor %}
{%- endmacro %}
