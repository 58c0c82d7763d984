"""dim_department: one row per live department of the hotline."""

from yingshang.quality.measures import against_raw, of_mart

MEASURES = (
    of_mart(
        "dim_department",
        key="department_code",
        from_batches=True,
    ),
    against_raw("dim_department", "hotline.department", "a row for each live department in raw"),
)
