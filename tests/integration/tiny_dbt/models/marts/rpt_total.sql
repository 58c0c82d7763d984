select d.deal_key, d.amount_yuan, {{ slot_columns() }}
from {{ ref("fct_deal") }} as d
