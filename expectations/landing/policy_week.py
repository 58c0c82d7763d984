"""A batch of hotline.policy_week: One Policy Per Week (每周一策).

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
            column="null_share_topic",
            max_value=0.05,
            **warn("a week has its policy"),
        ),
        between(
            column="null_share_dept_code",
            max_value=0.1,
            **warn("a policy is explained by a department"),
        ),
    ]
