"""A batch of supervision.batch: the batches in which issues are assigned.

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
            column="null_share_batch_no",
            max_value=0.05,
            **warn("an issue of a batch without number is counted for no batch"),
        ),
        between(
            column="null_share_issued_time",
            max_value=0.05,
            **warn("a batch tells when it was issued"),
        ),
    ]
