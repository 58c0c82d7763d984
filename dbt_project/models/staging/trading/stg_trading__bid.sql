with
    latest as ({{ latest_visible("trading", "bid", ["bid_section_code", "bidder_org_code"]) }}),

    final as (
        select
            bid_section_code as lot_code,
            bidder_org_code as bidder_code,
            tender_project_code as project_code,
            {{ deal_code_columns() }},
            bidder_name,
            bidder_role,
            bidder_region_code,
            {{ flag("is_lost") }} as is_lost,
            price_form_code,
            {{ yuan_of_form("bid_price", "price_unit", "price_form_code") }} as bid_price_yuan,
            other_bid_price as other_price,
            price_currency as currency_code,
            {{ shanghai_time("checkin_time") }} as submitted_at,
            pm_code as manager_token,
            platform_code,
            {{ version_columns() }}
        from latest
    )

select *
from final
