{#-
Touched keys of hotline: department, expert, expert_session, policy_week, work_order and callback, each by its own code. A callback
touches every work order that any of its versions has ever named, visible or not.
-#}
{% macro touched_keys_of_hotline() -%}
    {%- set keys = {
        "department": "dept_code",
        "expert": "expert_code",
        "expert_session": "session_code",
        "policy_week": "week_code",
        "callback": "callback_id",
    } %}
    {%- for dataset, column in keys.items() %}
        select '{{ dataset }}' as kind, key
        from ({{ keys_of_touched_batches("hotline", dataset, column) }}) as {{ dataset }}_keys
        union all
    {%- endfor %}
    select 'work_order' as kind, key
    from
        (
            {{ keys_of_touched_batches("hotline", "work_order", "order_no") }}
            union
            {{ parents_of_touched_batches("hotline", "callback", "callback_id", "order_no") }}
        ) as orders
{%- endmacro %}
