"""A batch of hotline.expert_session: the sessions of experts.

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
            column="null_share_expert_code",
            max_value=0.02,
            **warn("a session without expert counts for nobody"),
        ),
        between(
            column="null_share_session_date",
            max_value=0.02,
            **warn("a session without date is counted at no cut-off"),
        ),
        between(
            column="null_share_session_kind",
            max_value=0.1,
            **warn("a session is of some kind"),
        ),
    ]
