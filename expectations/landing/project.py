"""A batch of trading.project: tender projects of one node.

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
            column="null_share_unified_deal_code",
            max_value=0.05,
            **warn("a record without its unified deal code has no transaction type of its own"),
        ),
        between(
            column="null_share_region_code",
            max_value=0.05,
            **warn("a project without division is counted for none"),
        ),
        between(
            column="null_share_tenderer_code",
            max_value=0.2,
            **warn("a buyer without credit code is not joined to its organization"),
        ),
    ]
