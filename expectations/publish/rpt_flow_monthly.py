"""rpt_flow_monthly: awards by month, node and flow. Its sums are those of rpt_cross_region_flow."""

from yingshang.quality.measures import of_mart
from yingshang.quality.rules import same

MEASURES = (
    of_mart(
        "rpt_flow_monthly",
        key=("month_start_date", "node_code", "flow"),
        figures="""
    coalesce(sum(wins), 0)::bigint as monthly_wins,
    (select coalesce(sum(wins), 0)::bigint from serve.rpt_cross_region_flow where _slot = %(slot)s) as flow_wins,
    coalesce(sum(won_yuan), 0)::float8 as monthly_yuan,
    (select coalesce(sum(won_yuan), 0)::float8 from serve.rpt_cross_region_flow where _slot = %(slot)s) as flow_yuan
    """,
        expectations=lambda: [
            same("monthly_wins", "flow_wins", "the awards of all months are those of rpt_cross_region_flow"),
            same("monthly_yuan", "flow_yuan", "awards in yuan are those of rpt_cross_region_flow"),
        ],
    ),
)
