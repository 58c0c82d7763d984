{#- No two rows of the same keys (nulls equal) hold on the same day; valid_to is exclusive, null is open on either side. -#}
{% test no_overlap(model, keys, valid_from, valid_to) %}
    with
        ordered as (
            select
                {{ keys | join(", ") }},
                {{ valid_from }},
                {{ valid_to }},
                row_number() over (
                    partition by {{ keys | join(", ") }} order by {{ valid_from }} nulls first
                ) as position,
                lag({{ valid_to }}) over (
                    partition by {{ keys | join(", ") }} order by {{ valid_from }} nulls first
                ) as previous_to
            from {{ model }}
        )

    select *
    from ordered
    where position > 1 and (previous_to is null or {{ valid_from }} is null or {{ valid_from }} < previous_to)
{% endtest %}
