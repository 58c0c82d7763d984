"""dim_expert_history: what the hotline's records of experts said, and when."""

from yingshang.quality.measures import of_mart
from yingshang.quality.rules import none, same

MEASURES = (
    of_mart(
        "dim_expert_history",
        key=("expert_code", "valid_from"),
        figures="""
    count(*) filter (where valid_to <= valid_from) as impossible_times,
    count(*) filter (where is_current) as current_experts,
    (select count(*) from live_hotline__expert) as source_experts
    """,
        expectations=lambda: [
            none("impossible_times", "an interval begins before it ends"),
            same("current_experts", "source_experts", "each live expert of raw has one current interval"),
        ],
    ),
)
