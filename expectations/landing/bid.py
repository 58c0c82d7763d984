"""A batch of trading.bid: who bid for which lot.

What follows from the contract is derived; here stands what people have to say. Figures: docs/reference/quality.md.
"""

import great_expectations.expectations as gxe

from yingshang.contracts import Contract
from yingshang.quality.arrivals import arrivals
from yingshang.quality.marks import warn


def expectations(contract: Contract) -> list[gxe.Expectation]:
    between = gxe.ExpectColumnValuesToBeBetween
    return [
        *arrivals(unknown_types_most=0.1),
        between(
            column="null_share_price_form_code",
            max_value=0.05,
            **warn("a bid whose price form is not given has no amount"),
        ),
        between(
            column="null_share_checkin_time",
            max_value=0.5,
            **warn("most bids have the time they were checked in"),
        ),
    ]
