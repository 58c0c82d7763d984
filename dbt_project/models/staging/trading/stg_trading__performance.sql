with
    latest as ({{ latest_visible("trading", "performance", ["bid_section_code"]) }}),

    final as (
        select
            bid_section_code as lot_code,
            tender_project_code as project_code,
            {{ deal_code_columns() }},
            {{ yuan("settle_price", "price_unit") }} as settled_yuan,
            {{ shanghai_time("finish_time") }} as finished_at,
            {{ shanghai_time("report_issue_time") }} as reported_at,
            contract_change_content as change_content,
            actually_period as actual_period,
            platform_code,
            {{ version_columns() }}
        from latest
    )

select *
from final
