"""A batch of hotline.work_order: the work orders (工单) of one city, the grain of fct_work_order.

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
            column="null_share_class_code",
            max_value=0.05,
            **warn("a work order without class is counted for none"),
        ),
        between(
            column="null_share_division_code",
            max_value=0.1,
            **warn("a work order without division is counted for the city only"),
        ),
        between(
            column="null_share_status_name",
            max_value=0.02,
            **warn("a work order without status is in no count of what is open"),
        ),
        between(
            column="null_share_accept_time",
            max_value=0.02,
            **warn("a work order without its acceptance belongs to no month"),
        ),
        between(
            column="null_share_dispatch_time",
            max_value=0.2,
            **warn("closure is counted against what was dispatched"),
        ),
        between(
            column="null_share_due_time",
            max_value=0.3,
            **warn("response is counted against what was due"),
        ),
        between(
            column="null_share_content_length",
            max_value=0.5,
            **warn("most citizens say something"),
        ),
    ]
