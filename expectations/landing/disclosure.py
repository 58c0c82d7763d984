"""A batch of sunshine.disclosure: what the villages and communities of one city make public.

What follows from the contract is derived; here stands what people have to say. Figures: docs/reference/quality.md.
"""

import great_expectations.expectations as gxe

from yingshang.contracts import Contract
from yingshang.quality.arrivals import arrivals
from yingshang.quality.marks import warn


def expectations(contract: Contract) -> list[gxe.Expectation]:
    between = gxe.ExpectColumnValuesToBeBetween
    return [
        *arrivals(),
        between(
            column="null_share_category_code",
            max_value=0.02,
            **warn("a disclosure without category is counted for none"),
        ),
        between(
            column="null_share_enter_time",
            max_value=0.05,
            **warn("timeliness is counted from when the village entered it"),
        ),
        between(
            column="null_share_publish_time",
            max_value=0.5,
            **warn("what is not published is not disclosed"),
        ),
    ]
