"""rpt_source_scorecard: every node and system, judged. A bad level is the node's, and stops nothing."""

from yingshang.quality.measures import of_mart
from yingshang.quality.rules import at_most, none, same
from yingshang.quality.suites import Measure

BY_NODE = """
select
    system || ' of ' || node_code as node,
    (quality_level = 'D')::int as is_level_d,
    drifted_datasets,
    unknown_rate::float8 as unknown_rate,
    contradictory_records
from serve.rpt_source_scorecard
where _slot = %(slot)s
order by system, node_code
"""

MEASURES = (
    of_mart(
        "rpt_source_scorecard",
        key=("system", "node_code"),
        least_rows=1,
        figures="""
    sum(datasets)::bigint as scorecard_datasets,
    (select count(*) from serve.rpt_provision where _slot = %(slot)s) as provisions,
    sum(datasets - arrived_datasets)::bigint as scorecard_missing,
    (select count(*) from serve.rpt_provision where _slot = %(slot)s and is_missing) as provisions_missing,
    sum(night_source_rows)::bigint as scorecard_night_rows,
    (select sum(night_source_rows)::bigint from serve.rpt_provision where _slot = %(slot)s) as provision_night_rows,
    count(*) filter (where quality_level not in ('A', 'B', 'C', 'D')) as unlisted_levels,
    count(*) filter (
        where datasets <> arrived_datasets + refused_datasets + failed_datasets + not_provided_datasets
    ) as datasets_unaccounted_for,
    count(*) filter (
        where not reject_rate between 0 and 1 or not timeliness_rate between 0 and 1
            or not unknown_rate between 0 and 1 or not orphan_rate between 0 and 1
    ) as impossible_rates
    """,
        expectations=lambda: [
            same("scorecard_datasets", "provisions", "every provision is on the scorecard of its node"),
            same("scorecard_missing", "provisions_missing", "what is missing is what rpt_provision says"),
            same("scorecard_night_rows", "provision_night_rows", "the rows of the night are those of rpt_provision"),
            none("unlisted_levels", "levels are A, B, C and D"),
            none("datasets_unaccounted_for", "a dataset arrived, or it is said what came of it"),
            none("impossible_rates", "a rate lies between 0 and 1"),
        ],
    ),
    Measure(
        name="rpt_source_scorecard.by_node",
        sql=BY_NODE,
        index="node",
        expectations=lambda: [
            at_most("is_level_d", 0, "the node's deliveries are of the lowest level: see its shortcomings"),
            at_most("drifted_datasets", 0, "the node's columns are not those of the contract"),
            at_most("unknown_rate", 0.1, "codes that no list has: ask the node, or extend the seed"),
            at_most(
                "contradictory_records", 0, "times in an impossible order, such as a closing before its assignment"
            ),
        ],
    ),
)
