"""dim_batch: one row per live batch of issues."""

from yingshang.quality.measures import against_raw, of_mart

MEASURES = (
    of_mart(
        "dim_batch",
        key="batch_code",
        from_batches=True,
    ),
    against_raw("dim_batch", "supervision.batch", "a row for each live batch in raw"),
)
