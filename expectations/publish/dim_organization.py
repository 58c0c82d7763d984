"""dim_organization: one row per organization that any record names."""

from yingshang.quality.finished import at_most, finished, none
from yingshang.quality.suites import Measure

WHOLE = """
select
    'all' as part,
    count(*) as rows,
    count(*) filter (where _build_id <> %(build_id)s) as rows_of_another_build,
    count(*) - count(distinct organization_code) as duplicate_keys,
    (
        select count(*)
        from (select distinct bidder_org_code from live_trading__bid) b
        where not exists (
            select from serve.dim_organization o
            where o._slot = %(slot)s and o.organization_code = b.bidder_org_code
        )
    ) as bidders_missing,
    avg((not is_valid_uscc)::int)::float8 as invalid_code_rate
from serve.dim_organization
where _slot = %(slot)s
"""

MEASURES = (
    Measure(
        name="dim_organization",
        sql=WHOLE,
        index="part",
        expectations=lambda: [
            *finished(least_rows=0),
            none("bidders_missing", "every bidder that raw names is here"),
            at_most(
                "invalid_code_rate", 0.1, "organizations whose unified social credit code has a wrong check character"
            ),
        ],
    ),
)
