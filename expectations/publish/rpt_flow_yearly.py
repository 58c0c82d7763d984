"""rpt_flow_yearly: awards by year, node, the winner's home and the lot's city. Its sums are rpt_cross_region_flow's."""

from yingshang.quality.measures import of_mart
from yingshang.quality.rules import same

MEASURES = (
    of_mart(
        "rpt_flow_yearly",
        key=("year_start_date", "node_code", "bidder_province_code", "bidder_city_code", "region_city_code"),
        figures="""
    coalesce(sum(wins), 0)::bigint as yearly_wins,
    (select coalesce(sum(wins), 0)::bigint from serve.rpt_cross_region_flow where _slot = %(slot)s) as flow_wins,
    coalesce(sum(won_yuan), 0)::float8 as yearly_yuan,
    (select coalesce(sum(won_yuan), 0)::float8 from serve.rpt_cross_region_flow where _slot = %(slot)s) as flow_yuan
    """,
        expectations=lambda: [
            same("yearly_wins", "flow_wins", "the awards of all years are those of rpt_cross_region_flow"),
            same("yearly_yuan", "flow_yuan", "awards in yuan are those of rpt_cross_region_flow"),
        ],
    ),
)
