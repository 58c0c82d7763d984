"""dim_expert: one row per live expert of the hotline, without a name."""

from yingshang.quality.finished import at_most, finished, none, same
from yingshang.quality.suites import Measure

WHOLE = """
select
    'all' as part,
    count(*) as rows,
    count(*) filter (where _build_id <> %(build_id)s) as rows_of_another_build,
    count(*) - count(distinct expert_code) as duplicate_keys,
    count(*) filter (where source_batch_id not in (select batch_id from visible_at_seq)) as rows_of_hidden_batches,
    avg(is_unknown_department::int)::float8 as unknown_department_rate
from serve.dim_expert
where _slot = %(slot)s
"""

SOURCE = """
select
    'all' as part,
    (select count(*) from serve.dim_expert where _slot = %(slot)s) as mart_rows,
    (select count(*) from live_hotline__expert) as source_rows
"""

MEASURES = (
    Measure(
        name="dim_expert",
        sql=WHOLE,
        index="part",
        expectations=lambda: [
            *finished(least_rows=0),
            none("rows_of_hidden_batches", "no row comes from a batch that is not admitted"),
            at_most("unknown_department_rate", 0.05, "experts whose department is not there"),
        ],
    ),
    Measure(
        name="dim_expert.source",
        sql=SOURCE,
        index="part",
        expectations=lambda: [
            same("mart_rows", "source_rows", "a row for each live expert in raw"),
        ],
    ),
)
