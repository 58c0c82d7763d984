"""fct_work_order: one row per live work order. Orders equal what the cities delivered."""

from yingshang.quality.measures import by_node, of_mart
from yingshang.quality.rules import at_most, none

MEASURES = (
    of_mart(
        "fct_work_order",
        key="order_no",
        from_batches=True,
        figures="""
    count(*) filter (where status not in (
        'accepted', 'dispatched', 'handling', 'replied', 'closed', 'called_back', 'evaluated', 'withdrawn', 'unknown'
    )) as unlisted_statuses,
    count(*) filter (where is_contacted_on_time and is_contacted_late) as contacted_twice,
    avg(is_unknown_status::int)::float8 as unknown_status_rate,
    avg(is_unknown_class::int)::float8 as unknown_class_rate,
    avg(is_unknown_division::int)::float8 as unknown_division_rate,
    avg(is_out_of_order::int)::float8 as out_of_order_rate,
    avg((accepted_at is null)::int)::float8 as undated_rate,
    avg((accepted_date > %(night)s::date + 1)::int)::float8 as future_rate
    """,
        expectations=lambda: [
            none("unlisted_statuses", "every status is one of the project"),
            none("contacted_twice", "the first contact is on time or late"),
            at_most(
                "unknown_status_rate", 0.05, "words of cities that map to nothing: extend the seed hotline_status_map"
            ),
            at_most("unknown_class_rate", 0.05, "classes in no list: extend the seed hotline_classes"),
            at_most("unknown_division_rate", 0.05, "divisions that the list does not have"),
            at_most("out_of_order_rate", 0.05, "orders whose times run backwards"),
            at_most("undated_rate", 0.01, "orders without a time of acceptance belong to no month"),
            at_most("future_rate", 0.001, "orders accepted after the night"),
        ],
    ),
    by_node("fct_work_order", "hotline.work_order", {"rows": "a row for each live work order of the node in raw"}),
)
