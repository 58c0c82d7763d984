"""rpt_red_flag: hints, each with its numbers. None may be without a threshold that was in force on its day."""

from yingshang.quality.measures import of_mart
from yingshang.quality.rules import at_most, none

MEASURES = (
    of_mart(
        "rpt_red_flag",
        key=("red_flag_id", "subject_key"),
        figures="""
    count(*) filter (where subject = 'lot' and lot_key not in (
        select lot_code from serve.fct_transaction where _slot = %(slot)s
    )) as hits_of_no_lot,
    count(*) filter (where node_code not in (
        select region_code from serve.dim_division where _slot = %(slot)s and is_node
    )) as unlisted_nodes,
    count(*) filter (where raised_date < setting_valid_from or raised_date >= setting_valid_to)
        as settings_out_of_force,
    count(*) filter (where reason like '%%$s%%' or reason_cn like '%%$s%%') as unfilled_reasons,
    (count(distinct lot_key) / greatest((
        select count(*) from serve.fct_transaction where _slot = %(slot)s and industry_code in ('01', '02')
    ), 1))::float8 as flagged_rate
    """,
        expectations=lambda: [
            none("hits_of_no_lot", "a hit about a lot names a live one"),
            none("unlisted_nodes", "every hit belongs to a node of the registry"),
            none("settings_out_of_force", "a threshold is held against what happened while it was in force"),
            none("unfilled_reasons", "every reason has its numbers"),
            at_most("flagged_rate", 0.9, "lots with a red flag: when nearly all have one, look at the settings"),
        ],
    ),
)
