"""dim_organization_history: names and regions of organisations over time."""

from yingshang.quality.measures import of_mart
from yingshang.quality.rules import none, same

MEASURES = (
    of_mart(
        "dim_organization_history",
        key=("organization_code", "valid_from"),
        figures="""
    count(*) filter (where valid_to <= valid_from) as impossible_times,
    count(*) filter (where is_current) as current_organizations,
    count(distinct organization_code) as organizations
    """,
        expectations=lambda: [
            none("impossible_times", "an interval begins before it ends"),
            same("current_organizations", "organizations", "each organisation has one current interval"),
        ],
    ),
)
