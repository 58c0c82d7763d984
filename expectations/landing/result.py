"""A batch of trading.result: who won which lot, and for how much.

What follows from the contract is derived; here stands what people have to say. Figures: docs/reference/quality.md.
"""

import great_expectations.expectations as gxe

from yingshang.contracts import Contract
from yingshang.quality.arrivals import arrivals
from yingshang.quality.marks import stop, warn


def expectations(contract: Contract) -> list[gxe.Expectation]:
    between = gxe.ExpectColumnValuesToBeBetween
    return [
        *arrivals(unknown_types_most=0.1),
        between(
            column="null_share_price_form_code",
            max_value=0.05,
            **warn("a result whose price form is not given has no amount"),
        ),
        between(
            column="null_share_bid_amount",
            max_value=0.95,
            **stop("hardly any result has an amount: the column was lost on the way"),
        ),
    ]
