with
    latest as ({{ latest_visible("sunshine", "tracked_problem", ["problem_id"]) }}),

    final as (
        select
            problem_id,
            village_code,
            problem_kind as problem_kind_code,
            {{ shanghai_time("open_time") }} as opened_at,
            {{ shanghai_time("resolve_time") }} as resolved_at,
            {{ version_columns() }}
        from latest
    )

select *
from final
