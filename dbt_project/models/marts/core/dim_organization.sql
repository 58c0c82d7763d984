{{ config(indexes=[{"columns": ["organization_code"], "unique": true}]) }}

with
    -- every mention of an organisation, with the role it is named in
    mentions as (
        select
            bidder_code as organization_code,
            bidder_name as organization_name,
            bidder_region_code as region_code,
            'bidder' as role,
            submitted_at as mentioned_at,
            source_cursor
        from {{ ref("fct_bid") }}
        union all
        select e.organization_code, e.title, null, 'winner', e.occurred_at, e.source_cursor
        from {{ ref("fct_transaction_event") }} as e
        where e.dataset = 'result'
        union all
        select contractor_code, null, null, 'contractor', signed_at, source_cursor
        from {{ ref("fct_contract") }}
        union all
        select buyer_code, null, null, 'buyer', signed_at, source_cursor
        from {{ ref("fct_contract") }}
        union all
        select tenderer_code, tenderer_name, null, 'tenderer', created_at, source_cursor
        from {{ ref("dim_project") }}
        union all
        select agency_code, agency_name, null, 'agency', created_at, source_cursor
        from {{ ref("dim_project") }}
    ),

    -- names and regions as last written
    names as (
        select distinct on (organization_code) organization_code, organization_name
        from mentions
        where organization_name is not null
        order by organization_code, source_cursor desc, organization_name
    ),

    regions as (
        select distinct on (organization_code) organization_code, region_code
        from mentions
        where region_code is not null
        order by organization_code, source_cursor desc, region_code
    ),

    organizations as (
        select
            organization_code,
            {%- for role in [
                "tenderer",
                "agency",
                "bidder",
                "winner",
                "buyer",
                "contractor",
            ] %}
                bool_or(role = '{{ role }}') as is_{{ role }},
            {%- endfor %}
            count(*) as mentions,
            min(mentioned_at) as first_mentioned_at,
            max(mentioned_at) as last_mentioned_at
        from mentions
        where organization_code is not null
        group by organization_code
    ),

    final as (
        select
            o.organization_code,
            n.organization_name,
            r.region_code,
            {{ is_valid_uscc("o.organization_code") }} as is_valid_uscc,
            o.is_tenderer,
            o.is_agency,
            o.is_bidder,
            o.is_winner,
            o.is_buyer,
            o.is_contractor,
            o.mentions,
            o.first_mentioned_at,
            o.last_mentioned_at,
            {{ slot_columns() }}
        from organizations as o
        left join names as n on n.organization_code = o.organization_code
        left join regions as r on r.organization_code = o.organization_code
    )

select *
from final
