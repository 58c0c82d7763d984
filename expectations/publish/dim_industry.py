"""dim_industry: the industries of the transaction types."""

from yingshang.quality.finished import finished, none
from yingshang.quality.suites import Measure

WHOLE = """
select
    'all' as part,
    count(*) as rows,
    count(*) filter (where _build_id <> %(build_id)s) as rows_of_another_build,
    count(*) - count(distinct industry_code) as duplicate_keys,
    (
        select count(*)
        from serve.dim_transaction_type t
        where t._slot = %(slot)s and t.industry_code not in (
            select i.industry_code from serve.dim_industry i where i._slot = %(slot)s
        )
    ) as types_without_industry
from serve.dim_industry
where _slot = %(slot)s
"""

MEASURES = (
    Measure(
        name="dim_industry",
        sql=WHOLE,
        index="part",
        expectations=lambda: [*finished(), none("types_without_industry", "every type has its industry here")],
    ),
)
