select v.deal_key, v.amount_yuan::numeric(18, 2) as amount_yuan, {{ slot_columns() }}
from {{ ref("visible") }} as v
