"""dim_date: every day that a fact may name."""

from yingshang.quality.measures import of_mart
from yingshang.quality.rules import at_most

MEASURES = (
    of_mart(
        "dim_date",
        key="date_day",
        least_rows=1,
        figures="""
    (
        select count(distinct f.created_date)
        from serve.fct_transaction f
        where f._slot = %(slot)s and f.created_date not in (
            select d.date_day from serve.dim_date d where d._slot = %(slot)s
        )
    ) as days_missing
    """,
        expectations=lambda: [at_most("days_missing", 0, "days of lots that are out of the calendar")],
    ),
)
