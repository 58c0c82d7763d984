"""A batch of supervision.issue: the issues assigned to all nodes, the grain of fct_issue.

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
            column="null_share_batch_code",
            max_value=0.02,
            **warn("an issue without batch is in no batch's progress"),
        ),
        between(
            column="null_share_environment_code",
            max_value=0.05,
            **warn("an issue without environment is counted for none"),
        ),
        between(
            column="null_share_assign_time",
            max_value=0.02,
            **warn("an issue that was never assigned is counted at no cut-off"),
        ),
        between(
            column="null_share_due_time",
            max_value=0.3,
            **warn("an issue without time limit is never overdue"),
        ),
    ]
