with
    latest as ({{ latest_visible("trading", "project", ["tender_project_code"]) }}),

    final as (
        select
            tender_project_code as project_code,
            project_code as investment_project_code,
            {{ deal_code_columns() }},
            tender_project_name as project_name,
            tender_project_type as project_type,
            region_code,
            owner_name,
            tenderer_code,
            tenderer_name,
            tender_agency_code as agency_code,
            tender_agency_name as agency_name,
            tender_mode,
            tender_organize_form as organize_form,
            supervise_dept_code as supervisor_code,
            supervise_dept_name as supervisor_name,
            {{ shanghai_time("create_time") }} as created_at,
            platform_code,
            {{ version_columns() }}
        from latest
    )

select *
from final
