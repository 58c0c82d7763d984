"""rpt_red_flag_monthly: hits by month, red flag and node. Its sums are those of rpt_red_flag."""

from yingshang.quality.measures import of_mart
from yingshang.quality.rules import same
from yingshang.quality.suites import Measure

BY_FLAG = """
with monthly as (
    select red_flag_id, sum(hits)::bigint as monthly_hits, sum(lots)::bigint as monthly_lots
    from serve.rpt_red_flag_monthly
    where _slot = %(slot)s
    group by red_flag_id
),
every_hit as (
    select red_flag_id, count(*) as single_hits, count(lot_key) as single_lots
    from serve.rpt_red_flag
    where _slot = %(slot)s
    group by red_flag_id
)
select
    red_flag_id,
    coalesce(monthly_hits, 0) as monthly_hits,
    coalesce(single_hits, 0) as single_hits,
    coalesce(monthly_lots, 0) as monthly_lots,
    coalesce(single_lots, 0) as single_lots
from monthly
full join every_hit using (red_flag_id)
order by red_flag_id
"""

MEASURES = (
    of_mart("rpt_red_flag_monthly", key=("month_start_date", "red_flag_id", "node_code")),
    Measure(
        name="rpt_red_flag_monthly.by_flag",
        sql=BY_FLAG,
        index="red_flag_id",
        expectations=lambda: [
            same("monthly_hits", "single_hits", "the hits of all months are those of rpt_red_flag"),
            same("monthly_lots", "single_lots", "the flagged lots of all months are those of rpt_red_flag"),
        ],
    ),
)
