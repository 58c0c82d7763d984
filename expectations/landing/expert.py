"""A batch of hotline.expert: the experts of the hotline.

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
            column="null_share_dept_code",
            max_value=0.05,
            **warn("an expert without department is counted for none"),
        ),
        between(
            column="null_share_start_date",
            max_value=0.3,
            **warn("most experts have the day they began"),
        ),
    ]
