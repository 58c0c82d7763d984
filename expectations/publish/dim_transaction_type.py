"""dim_transaction_type: the 38 transaction types, and 'unknown'."""

from yingshang.quality.marks import expectations_module, warn
from yingshang.quality.measures import of_mart
from yingshang.quality.rules import none


def expectations() -> list[object]:
    between = expectations_module().ExpectColumnValuesToBeBetween
    return [
        none("unknown_missing", "a code that maps to nothing needs the type 'unknown'"),
        between(column="types", min_value=38, max_value=38, **warn("the province trades 38 types")),
        between(column="industries", min_value=10, max_value=10, **warn("the province trades in 10 industries")),
    ]


MEASURES = (
    of_mart(
        "dim_transaction_type",
        key="type_code",
        least_rows=2,
        figures="""
    1 - count(*) filter (where type_code = 'unknown') as unknown_missing,
    count(distinct industry_code) filter (where type_code <> 'unknown') as industries,
    count(distinct type_code) filter (where type_code <> 'unknown') as types
    """,
        expectations=expectations,
    ),
)
