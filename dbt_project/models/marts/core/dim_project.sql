{{ config(indexes=[{"columns": ["project_code"], "unique": true}]) }}

with
    projects as (select * from {{ ref("stg_trading__project") }} where not is_deleted),

    final as (
        select
            p.project_code,
            p.investment_project_code,
            p.deal_code,
            p.project_name,
            p.project_type,
            p.node_code,
            p.region_code,
            {{ type_columns() }},
            p.owner_name,
            p.tenderer_code,
            p.tenderer_name,
            p.agency_code,
            p.agency_name,
            p.tender_mode,
            p.organize_form,
            p.supervisor_code,
            p.supervisor_name,
            p.created_at,
            p.source_batch_id,
            p.source_row,
            p.source_cursor,
            {{ slot_columns() }}
        from projects as p {{ join_type("p") }}
    )

select *
from final
