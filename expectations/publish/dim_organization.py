"""dim_organization: one row per organization that any record names."""

from yingshang.quality.measures import of_mart
from yingshang.quality.rules import at_most, none

MEASURES = (
    of_mart(
        "dim_organization",
        key="organization_code",
        figures="""
    (
        select count(*)
        from (select distinct bidder_org_code from live_trading__bid) b
        where not exists (
            select from serve.dim_organization o
            where o._slot = %(slot)s and o.organization_code = b.bidder_org_code
        )
    ) as bidders_missing,
    avg((not is_valid_uscc)::int)::float8 as invalid_code_rate
    """,
        expectations=lambda: [
            none("bidders_missing", "every bidder that raw names is here"),
            at_most(
                "invalid_code_rate", 0.1, "organizations whose unified social credit code has a wrong check character"
            ),
        ],
    ),
)
