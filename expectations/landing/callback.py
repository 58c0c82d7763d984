"""A batch of hotline.callback: the callbacks of one city.

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
            column="null_share_callback_time",
            max_value=0.05,
            **warn("a callback without time belongs to no month"),
        ),
        between(
            column="null_share_is_solved",
            max_value=0.1,
            **warn("resolution is counted against what was called back"),
        ),
        between(
            column="null_share_satisfaction_code",
            max_value=0.8,
            **warn("satisfaction is counted against what was rated"),
        ),
    ]
