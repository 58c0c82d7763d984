"""A batch of hotline.department: the departments that answer at the hotline.

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
            column="null_share_dept_name",
            max_value=0.05,
            **warn("a department has a name"),
        ),
    ]
