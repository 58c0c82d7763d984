"""A batch of sunshine.tracked_problem: the problems that one city tracks.

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
            column="null_share_problem_kind",
            max_value=0.02,
            **warn("a problem of no kind is in no count"),
        ),
        between(
            column="null_share_open_time",
            max_value=0.05,
            **warn("a problem tells when it was opened"),
        ),
    ]
