with
    latest as ({{ latest_visible("trading", "result", ["bid_section_code", "win_bidder_code"]) }}),

    final as (
        select
            bid_section_code as lot_code,
            win_bidder_code as winner_code,
            tender_project_code as project_code,
            {{ deal_code_columns() }},
            win_bidder_name as winner_name,
            bidder_region_code as winner_region_code,
            price_form_code,
            {{ yuan_of_form("bid_amount", "price_unit", "price_form_code") }} as award_yuan,
            other_bid_amount as other_amount,
            {{ shanghai_time("notice_send_time") }} as awarded_at,
            project_lead as lead_name_token,
            project_lead_id as lead_token,
            platform_code,
            {{ version_columns() }}
        from latest
    )

select *
from final
