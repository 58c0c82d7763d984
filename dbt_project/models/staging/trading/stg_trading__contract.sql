with
    latest as ({{ latest_visible("trading", "contract", ["bid_section_code", "bidder_code"]) }}),

    final as (
        select
            bid_section_code as lot_code,
            bidder_code as contractor_code,
            tender_project_code as project_code,
            {{ deal_code_columns() }},
            tender_code as buyer_code,
            contract_name,
            {{ yuan("contract_price", "price_unit") }} as contract_price_yuan,
            {{ shanghai_time("contract_sign_time") }} as signed_at,
            limite_time as term,
            platform_code,
            {{ version_columns() }}
        from latest
    )

select *
from final
