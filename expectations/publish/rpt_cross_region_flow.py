"""rpt_cross_region_flow: who wins where. Every award of a lot is in it once, and every yuan."""

from yingshang.quality.measures import of_mart
from yingshang.quality.rules import at_most, same

MEASURES = (
    of_mart(
        "rpt_cross_region_flow",
        key=(
            "month_start_date",
            "bidder_province_code",
            "bidder_city_code",
            "node_code",
            "region_code",
            "industry_code",
        ),
        figures="""
    coalesce(sum(wins), 0)::bigint as flow_wins,
    (select coalesce(sum(awards), 0)::bigint from serve.fct_transaction where _slot = %(slot)s) as fact_awards,
    coalesce(sum(won_yuan), 0)::float8 as flow_yuan,
    (select coalesce(sum(award_yuan), 0)::float8 from serve.fct_transaction where _slot = %(slot)s) as fact_yuan,
    coalesce(sum(held_won_yuan), 0)::float8 as flow_held_yuan,
    (select coalesce(sum(held_award_yuan), 0)::float8 from serve.fct_transaction where _slot = %(slot)s)
        as fact_held_yuan,
    count(*) filter (where bidder_province_code not in (
        select region_code from serve.dim_division
        where _slot = %(slot)s and division_level = 'province' and region_code is not null
    )) as unlisted_provinces,
    (coalesce(sum(wins) filter (where flow = 'unknown'), 0) / greatest(sum(wins), 1))::float8 as unknown_rate
    """,
        expectations=lambda: [
            same("flow_wins", "fact_awards", "the awards of all regions are those of fct_transaction"),
            same("flow_yuan", "fact_yuan", "awards in yuan are those of fct_transaction"),
            same("flow_held_yuan", "fact_held_yuan", "held awards in yuan are those of fct_transaction"),
            at_most("unlisted_provinces", 0, "winners come from provinces that the list has"),
            at_most("unknown_rate", 0.05, "awards whose winner's region no tender tells"),
        ],
    ),
)
