{{
    config(
        indexes=[
            {"columns": ["organization_code", "valid_from"], "unique": true},
        ]
    )
}}
{%- set mentions = [
    ("bid", "bidder_org_code", "bidder_name", "bidder_region_code"),
    ("result", "win_bidder_code", "win_bidder_name", "bidder_region_code"),
    ("project", "tenderer_code", "tenderer_name", none),
    ("project", "tender_agency_code", "tender_agency_name", none),
] %}

-- Whole tables are read once and aggregated by hash; only the organisations that ever had two names or
-- two regions are sorted by time. A tombstone says nothing of an organisation.
with
    observations as (
        {%- for dataset, code, name, region in mentions %}
            {%- if not loop.first %}
                union all
            {%- endif %}
            select
                r.{{ code }} as organization_code,
                r.{{ name }} as organization_name,
                {{ "r." ~ region if region else "null::text" }} as region_code,
                r.data_timestamp,
                v.admitted_seq,
                r._row
            from {{ source("trading", dataset) }} as r
            inner join {{ ref("visible_batch") }} as v on v.batch_id = r._batch_id
            where r.{{ code }} is not null and not coalesce({{ flag("r.is_delete") }}, false)
        {%- endfor %}
    ),

    organizations as (
        select
            organization_code,
            min(organization_name) as organization_name,
            min(region_code) as region_code,
            min(data_timestamp) as valid_from_cursor,
            coalesce(min(organization_name) <> max(organization_name), false)
            or coalesce(min(region_code) <> max(region_code), false) as has_changed
        from observations
        group by organization_code
    ),

    -- what was said last at a moment
    moments as (
        select
            o.organization_code,
            o.data_timestamp,
            (
                array_agg(
                    o.organization_name order by o.admitted_seq desc, o._row desc, o.organization_name desc
                ) filter (where o.organization_name is not null)
            )[1] as organization_name,
            (
                array_agg(
                    o.region_code order by o.admitted_seq desc, o._row desc, o.region_code desc
                ) filter (where o.region_code is not null)
            )[1] as region_code
        from observations as o
        inner join organizations as c on c.organization_code = o.organization_code and c.has_changed
        group by o.organization_code, o.data_timestamp
    ),

    -- an empty name or region says nothing: the one before holds on, the first one holds before it
    numbered as (
        select
            *,
            greatest(count(organization_name) over moments_before, 1) as name_number,
            greatest(count(region_code) over moments_before, 1) as region_number
        from moments
        window moments_before as (partition by organization_code order by data_timestamp)
    ),

    versions as (
        select
            organization_code,
            max(organization_name) over (partition by organization_code, name_number) as organization_name,
            max(region_code) over (partition by organization_code, region_number) as region_code,
            false as is_deleted,
            data_timestamp
        from numbered
    ),

    intervals as (
        {{ history_intervals("versions", "organization_code", ["organization_name", "region_code"]) }}
        union all
        select organization_code, organization_name, region_code, valid_from_cursor, null
        from organizations
        where not has_changed
    ),

    final as (
        select
            organization_code, organization_name, region_code, {{ validity_columns() }}, {{ slot_columns() }}
        from intervals
    )

select *
from final
