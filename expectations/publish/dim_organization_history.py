"""dim_organization_history: names and regions of organisations over time."""

from yingshang.quality.finished import finished, none, same
from yingshang.quality.suites import Measure

WHOLE = """
select
    'all' as part,
    count(*) as rows,
    count(*) filter (where _build_id <> %(build_id)s) as rows_of_another_build,
    count(*) - (
        select count(*) from (
            select distinct organization_code, valid_from from serve.dim_organization_history where _slot = %(slot)s
        ) keys
    ) as duplicate_keys,
    count(*) filter (where valid_to <= valid_from) as impossible_times,
    count(*) filter (where is_current) as current_organizations,
    count(distinct organization_code) as organizations
from serve.dim_organization_history
where _slot = %(slot)s
"""

MEASURES = (
    Measure(
        name="dim_organization_history",
        sql=WHOLE,
        index="part",
        expectations=lambda: [
            *finished(least_rows=0),
            none("impossible_times", "an interval begins before it ends"),
            same("current_organizations", "organizations", "each organisation has one current interval"),
        ],
    ),
)
