"""A batch of supervision.issue_event: what happened to the issues of one node.

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
            column="null_share_event_type",
            max_value=0.02,
            **warn("an event of no kind says nothing of its issue"),
        ),
        between(
            column="null_share_event_time",
            max_value=0.02,
            **warn("an event without time has no place in the course of its issue"),
        ),
    ]
