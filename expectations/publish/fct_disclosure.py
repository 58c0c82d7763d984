"""fct_disclosure: one row per live disclosure, node by node as many as the sources delivered."""

# Keys are not counted here: the mart's unique index holds them, and a count of millions of them would cost seconds.
from yingshang.quality.measures import by_node, of_mart
from yingshang.quality.rules import at_most, none

MEASURES = (
    of_mart(
        "fct_disclosure",
        key=None,
        from_batches=True,
        figures="""
    count(*) filter (where (is_timely is null) <> (published_at is null or entered_at is null)) as wrong_timeliness,
    avg((published_at < entered_at)::int)::float8 as published_before_entered_rate,
    avg(is_unknown_village::int)::float8 as unknown_village_rate
    """,
        expectations=lambda: [
            none("wrong_timeliness", "timeliness is told of published disclosures, and only of these"),
            at_most("published_before_entered_rate", 0.01, "disclosures published before they were entered"),
            at_most(
                "unknown_village_rate", 0.01, "villages that the division list does not have: renew the seed divisions"
            ),
        ],
    ),
    by_node("fct_disclosure", "sunshine.disclosure", {"rows": "a row for each live record of the node in raw"}),
)
