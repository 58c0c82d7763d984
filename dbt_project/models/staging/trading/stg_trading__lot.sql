with
    latest as ({{ latest_visible("trading", "lot", ["bid_section_code"]) }}),

    final as (
        select
            bid_section_code as lot_code,
            tender_project_code as project_code,
            {{ deal_code_columns() }},
            bid_section_name as lot_name,
            region_code,
            tra_place_code as trade_place_code,
            remote_evaluation_region as remote_evaluation_region_code,
            {{ yuan("contract_reckon_price", "price_unit") }} as reckon_price_yuan,
            currency_code,
            {{ shanghai_time("create_time") }} as created_at,
            platform_code,
            {{ version_columns() }}
        from latest
    )

select *
from final
