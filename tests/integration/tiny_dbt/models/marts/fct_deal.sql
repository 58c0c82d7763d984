{{ config(materialized="incremental", unique_key="deal_key", on_schema_change="fail") }}
select v.deal_key, v.amount_yuan::numeric(18, 2) as amount_yuan, {{ slot_columns() }}
from {{ ref("visible") }} as v
{% if is_incremental() %} where v.seq > {{ build_context("from_seq") }} {% endif %}
