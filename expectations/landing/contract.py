"""A batch of trading.contract: contracts signed.

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
            column="null_share_contract_price",
            max_value=0.2,
            **warn("a contract without price adds nothing to the sums"),
        ),
        between(
            column="null_share_contract_price",
            max_value=0.95,
            **stop("hardly any contract has a price: the column was lost on the way"),
        ),
        between(
            column="null_share_contract_sign_time",
            max_value=0.05,
            **warn("a contract without its day of signing belongs to no month"),
        ),
    ]
