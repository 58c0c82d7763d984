"""dim_date: every day that a fact may name."""

from yingshang.quality.finished import at_most, finished
from yingshang.quality.suites import Measure

WHOLE = """
select
    'all' as part,
    count(*) as rows,
    count(*) filter (where _build_id <> %(build_id)s) as rows_of_another_build,
    count(*) - count(distinct date_day) as duplicate_keys,
    (
        select count(distinct f.created_date)
        from serve.fct_transaction f
        where f._slot = %(slot)s and f.created_date not in (
            select d.date_day from serve.dim_date d where d._slot = %(slot)s
        )
    ) as days_missing
from serve.dim_date
where _slot = %(slot)s
"""

MEASURES = (
    Measure(
        name="dim_date",
        sql=WHOLE,
        index="part",
        expectations=lambda: [*finished(), at_most("days_missing", 0, "days of lots that are out of the calendar")],
    ),
)
