with
    latest as ({{ latest_visible("trading", "notice", ["url"]) }}),

    final as (
        select
            url as notice_url,
            tender_project_code as project_code,
            bid_section_codes as lot_codes,
            unified_deal_codes as deal_codes,
            notice_name,
            notice_media,
            notice_nature,
            bulletin_type,
            {{ shanghai_time("notice_send_time") }} as sent_at,
            {{ shanghai_time("bid_doc_refer_end_time") }} as documents_until_at,
            {{ shanghai_time("bid_open_time") }} as bid_open_at,
            platform_code,
            {{ version_columns() }}
        from latest
    )

select *
from final
