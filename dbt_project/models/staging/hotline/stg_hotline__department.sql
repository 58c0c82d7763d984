with
    latest as ({{ latest_visible("hotline", "department", ["dept_code"]) }}),

    final as (
        select dept_code as department_code, dept_name as department_name, {{ version_columns() }} from latest
    )

select *
from final
