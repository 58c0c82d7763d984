"""dim_expert: one row per live expert of the hotline, without a name."""

from yingshang.quality.measures import against_raw, of_mart
from yingshang.quality.rules import at_most

MEASURES = (
    of_mart(
        "dim_expert",
        key="expert_code",
        from_batches=True,
        figures="""
    avg(is_unknown_department::int)::float8 as unknown_department_rate
    """,
        expectations=lambda: [at_most("unknown_department_rate", 0.05, "experts whose department is not there")],
    ),
    against_raw("dim_expert", "hotline.expert", "a row for each live expert in raw"),
)
