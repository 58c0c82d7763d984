{{ config(indexes=[{"columns": ["expert_code"], "unique": true}, {"columns": ["department_code"]}]) }}

with
    experts as (select * from {{ ref("stg_hotline__expert") }} where not is_deleted),

    departments as (select * from {{ ref("stg_hotline__department") }} where not is_deleted),

    sessions as (
        select
            expert_code,
            count(*) as sessions,
            min(session_date) as first_session_date,
            max(session_date) as last_session_date
        from {{ ref("fct_expert_session") }}
        group by expert_code
    ),

    final as (
        select
            e.expert_code,
            e.department_code,
            d.department_name,
            e.specialty,
            e.start_date,
            coalesce(s.sessions, 0) as sessions,
            s.first_session_date,
            s.last_session_date,
            d.department_code is null as is_unknown_department,
            e.source_batch_id,
            e.source_row,
            e.source_cursor,
            {{ slot_columns() }}
        from experts as e
        left join departments as d on d.department_code = e.department_code
        left join sessions as s on s.expert_code = e.expert_code
    )

select *
from final
