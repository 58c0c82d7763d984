"""dim_batch: one row per live batch of issues."""

from yingshang.quality.finished import finished, none, same
from yingshang.quality.suites import Measure

WHOLE = """
select
    'all' as part,
    count(*) as rows,
    count(*) filter (where _build_id <> %(build_id)s) as rows_of_another_build,
    count(*) - count(distinct batch_code) as duplicate_keys,
    count(*) filter (where source_batch_id not in (select batch_id from visible_at_seq)) as rows_of_hidden_batches
from serve.dim_batch
where _slot = %(slot)s
"""

SOURCE = """
select
    'all' as part,
    (select count(*) from serve.dim_batch where _slot = %(slot)s) as mart_rows,
    (select count(*) from live_supervision__batch) as source_rows
"""

MEASURES = (
    Measure(
        name="dim_batch",
        sql=WHOLE,
        index="part",
        expectations=lambda: [
            *finished(least_rows=0),
            none("rows_of_hidden_batches", "no row comes from a batch that is not admitted"),
        ],
    ),
    Measure(
        name="dim_batch.source",
        sql=SOURCE,
        index="part",
        expectations=lambda: [
            same("mart_rows", "source_rows", "a row for each live batch in raw"),
        ],
    ),
)
