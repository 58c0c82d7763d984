"""A batch of supervision.issue_outcome: what came of the issues of one node.

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
            column="null_share_outcome_type",
            max_value=0.02,
            **warn("an outcome of no kind is in no sum"),
        ),
        between(
            column="null_share_outcome_time",
            max_value=0.02,
            **warn("an outcome without time is counted at no cut-off"),
        ),
        between(
            column="null_share_responsible_kind",
            max_value=0.2,
            **warn("an outcome tells who is responsible"),
        ),
    ]
