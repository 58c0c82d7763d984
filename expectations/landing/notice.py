"""A batch of trading.notice: public notices, which date the stages of a lot.

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
            column="null_share_bid_section_codes",
            max_value=0.3,
            **warn("a notice that names no lot dates no stage"),
        ),
        between(
            column="null_share_notice_send_time",
            max_value=0.05,
            **warn("a notice without time dates no stage"),
        ),
        between(
            column="null_share_bulletin_type",
            max_value=0.05,
            **warn("a notice without its kind has stage 'unknown'"),
        ),
        between(
            column="null_share_notice_send_time",
            max_value=0.9,
            **stop("hardly any notice has a time: the column was lost on the way"),
        ),
    ]
