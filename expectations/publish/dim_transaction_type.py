"""dim_transaction_type: the 38 transaction types, and 'unknown'."""

from yingshang.quality.finished import finished, none
from yingshang.quality.marks import expectations_module, warn
from yingshang.quality.suites import Measure

WHOLE = """
select
    'all' as part,
    count(*) as rows,
    count(*) filter (where _build_id <> %(build_id)s) as rows_of_another_build,
    count(*) - count(distinct type_code) as duplicate_keys,
    1 - count(*) filter (where type_code = 'unknown') as unknown_missing,
    count(distinct industry_code) filter (where type_code <> 'unknown') as industries,
    count(distinct type_code) filter (where type_code <> 'unknown') as types
from serve.dim_transaction_type
where _slot = %(slot)s
"""


def expectations() -> list[object]:
    between = expectations_module().ExpectColumnValuesToBeBetween
    return [
        *finished(least_rows=2),
        none("unknown_missing", "a code that maps to nothing needs the type 'unknown'"),
        between(column="types", min_value=38, max_value=38, **warn("the province trades 38 types")),
        between(column="industries", min_value=10, max_value=10, **warn("the province trades in 10 industries")),
    ]


MEASURES = (Measure(name="dim_transaction_type", sql=WHOLE, index="part", expectations=expectations),)
