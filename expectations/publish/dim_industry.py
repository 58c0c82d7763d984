"""dim_industry: the industries of the transaction types."""

from yingshang.quality.measures import of_mart
from yingshang.quality.rules import none

MEASURES = (
    of_mart(
        "dim_industry",
        key="industry_code",
        least_rows=1,
        figures="""
    (
        select count(*)
        from serve.dim_transaction_type t
        where t._slot = %(slot)s and t.industry_code not in (
            select i.industry_code from serve.dim_industry i where i._slot = %(slot)s
        )
    ) as types_without_industry
    """,
        expectations=lambda: [none("types_without_industry", "every type has its industry here")],
    ),
)
