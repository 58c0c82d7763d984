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

    -- names and regions as last written: the greatest of cursor (14 characters) and value, in one pass
    organizations as (
        select
            organization_code,
            substr(max(source_cursor || organization_name), 15) as organization_name,
            substr(max(source_cursor || region_code), 15) as region_code,
            {%- for role in ["tenderer", "agency", "bidder", "winner", "buyer", "contractor"] %}
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
            organization_code,
            organization_name,
            region_code,
            {{ is_valid_uscc("organization_code") }} as is_valid_uscc,
            is_tenderer,
            is_agency,
            is_bidder,
            is_winner,
            is_buyer,
            is_contractor,
            mentions,
            first_mentioned_at,
            last_mentioned_at,
            {{ slot_columns() }}
        from organizations
    )

select *
from final
