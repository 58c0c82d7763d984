with
    latest as ({{ latest_visible("supervision", "issue_outcome", ["outcome_id"]) }}),

    final as (
        select
            outcome_id,
            issue_code,
            outcome_type,
            {{ yuan("amount", "price_unit") }} as amount_yuan,
            quantity,
            responsible_kind as responsible_kind_code,
            {{ shanghai_time("outcome_time") }} as occurred_at,
            {{ version_columns() }}
        from latest
    )

select *
from final
