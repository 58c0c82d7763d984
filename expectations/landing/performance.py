"""A batch of trading.performance: how contracts were carried out and settled.

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
            column="null_share_settle_price",
            max_value=0.5,
            **warn("most contracts carried out are settled with a price"),
        ),
        between(
            column="null_share_finish_time",
            max_value=0.5,
            **warn("most contracts carried out have their day of completion"),
        ),
    ]
