"""Nights of supervision at random by seed."""

from dataclasses import dataclass
from typing import Any, ClassVar

from tests.support.random_nights import RandomNights
from tests.support.raw_log import Row

PROVINCE, CITY, COUNTY, OTHER_CITY = "210000", "210300", "210321", "210200"
NODES = (PROVINCE, CITY, COUNTY, OTHER_CITY)
EVENT_TYPES = ("assigned", "accepted", "handling", "extended", "submitted", "verified", "closed", "reopened")
OUTCOME_TYPES = (
    "debt_repaid", "commitment_fulfilled", "execution_corrected", "execution_paid", "approval_delegated",
)  # fmt: skip


def issue_code(node: str, number: int, batch: int = 1) -> str:
    """Issue: WT, batch (2), node in charge (6), 6 digits."""
    return f"WT{batch:02d}{node}{number:06d}"


@dataclass
class Supervision(RandomNights):
    """Issues of three batches, and what four nodes say of them; some events are of issues that never come."""

    keys: ClassVar = {
        "supervision.batch": ("batch_code",),
        "supervision.issue": ("issue_code",),
        "supervision.issue_event": ("event_id",),
        "supervision.issue_outcome": ("outcome_id",),
    }
    nodes: ClassVar = {
        "supervision.batch": (PROVINCE,),
        "supervision.issue": (PROVINCE,),
        "supervision.issue_event": NODES,
        "supervision.issue_outcome": NODES,
    }

    def version(self, dataset: str, node: str) -> Row:
        pick = self.random.choice
        of_whom = pick(NODES) if dataset == "supervision.issue" else node
        issue = issue_code(of_whom, self.random.randint(1, 5))
        time = pick(["20240105", "20240217093000", "20240217093000", "20240630", "20240701120000", None])
        row = {"data_timestamp": self.cursor(), "is_delete": pick(["0", "F", "0", "F", "0", "0", "1", "T"])}
        own: dict[str, dict[str, Any]] = {
            "batch": {
                "batch_code": f"PC0{self.random.randint(1, 3)}", "batch_no": pick([1, 2, None]),
                "batch_name": pick("ABC"), "issued_time": time, "due_time": pick(["20240701", None]),
            },
            "issue": {
                "issue_code": issue, "batch_code": pick(["PC01", "PC02", "PC03", "PC04", None]), "node_code": of_whom,
                "environment_code": pick(["01", "02", "08", "09", None]), "source_code": pick(["1", "4", "9", None]),
                "assign_time": time, "due_time": pick(["20240301", "20240701", None]),
            },
            "issue_event": {
                # a correction may move an event to another issue
                "event_id": f"{issue}-{self.random.randint(1, 4):03d}", "node_code": node,
                "issue_code": pick([issue, issue, issue, issue_code(node, self.random.randint(1, 5))]),
                "event_type": pick([*EVENT_TYPES, "verified", "closed", "closed", None]), "event_time": time,
            },
            "issue_outcome": {
                "outcome_id": f"{issue}-R{self.random.randint(1, 2):02d}", "node_code": node,
                "issue_code": pick([issue, issue, issue, issue_code(node, self.random.randint(1, 5))]),
                "outcome_type": pick(OUTCOME_TYPES), "amount": pick([None, 0, 12.345678, 400_000]),
                "price_unit": pick(["0", "1", None]), "quantity": pick([None, 1, 7]),
                "responsible_kind": pick(["1", "2", "3", None]), "outcome_time": time,
            },
        }  # fmt: skip
        return {**row, **own[dataset.removeprefix("supervision.")]}
