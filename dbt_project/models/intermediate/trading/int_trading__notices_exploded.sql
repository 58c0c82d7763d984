{{
    config(
        materialized="incremental",
        incremental_strategy="replace_keys",
        unique_key="notice_url",
        meta={"touched": "notice"},
        indexes=[{"columns": ["notice_url"]}, {"columns": ["lot_key"]}],
        post_hook="analyze {{ this }}",
    )
}}
-- depends_on: {{ ref("touched_key") }}
with
    {% if is_incremental() %} touched as ({{ touched_keys() }}), {% endif %}

    notices as ({{ of_touched_keys(ref("stg_trading__notice"), "notice_url") }}),

    -- one row per lot that a notice names; the deal codes stand in the order of the
    -- lots, or one stands for all
    exploded as (
        select
            n.notice_url,
            coalesce(named.lot_code, n.notice_url) as lot_key,
            named.lot_code,
            n.project_code,
            trim(
                case
                    when cardinality(codes.deal_codes) = 1
                    then codes.deal_codes[1]
                    else codes.deal_codes[coalesce(named.position, 1)]
                end
            ) as deal_code,
            n.notice_name,
            n.notice_nature,
            n.bulletin_type,
            n.sent_at,
            n.documents_until_at,
            n.bid_open_at,
            n.is_deleted,
            n.node_code,
            n.source_batch_id,
            n.source_row,
            n.source_cursor
        from notices as n
        cross join lateral(select string_to_array(n.deal_codes, ';') as deal_codes) as codes
        left join
            lateral(
                select trim(u.code) as lot_code, min(u.position)::int as position
                from unnest(string_to_array(n.lot_codes, ';'))
                with ordinality as u(code, position)
                where trim(u.code) <> ''
                group by trim(u.code)
            ) as named
            on true
    ),

    coded as (select *, {{ deal_code_parts("deal_code") }} from exploded),

    final as (
        select
            c.notice_url,
            c.lot_key,
            c.lot_code,
            c.project_code,
            c.deal_code,
            c.node_code,
            {{ type_columns() }},
            coalesce(of_class.stage, of_any.stage, 'unknown') as stage,
            c.notice_name,
            c.notice_nature,
            c.bulletin_type,
            c.sent_at,
            c.documents_until_at,
            c.bid_open_at,
            c.is_deleted,
            c.source_batch_id,
            c.source_row,
            c.source_cursor
        from coded as c {{ join_type("c") }}
        left join
            {{ ref("stage_map") }} as of_class
            on of_class.national_class = types.national_class
            and of_class.notice_nature = c.notice_nature
            and of_class.bulletin_type = c.bulletin_type
        left join
            {{ ref("stage_map") }} as of_any
            on of_any.national_class is null
            and of_any.notice_nature = c.notice_nature
    )

select *
from final
