"""Nights of the hotline at random by seed."""

from dataclasses import dataclass
from typing import Any, ClassVar

from tests.support.random_nights import RandomNights
from tests.support.raw_log import Row

PROVINCE = "210000"
CITIES = ("210200", "210300", "211000")
STATUSES = ("已受理", "受理", "已派单", "已签收", "已办结", "办结", "已撤销", "挂起", None)


def order_no(city: str, number: int) -> str:
    """Work order: city (6), yyyyMMdd, 4 digits."""
    return f"{city}20240801{number:04d}"


@dataclass
class Hotline(RandomNights):
    """Work orders and callbacks of three cities, experts and their sessions of the province."""

    keys: ClassVar = {
        "hotline.department": ("dept_code",),
        "hotline.expert": ("expert_code",),
        "hotline.expert_session": ("session_code",),
        "hotline.policy_week": ("week_code",),
        "hotline.work_order": ("order_no",),
        "hotline.callback": ("callback_id",),
    }
    nodes: ClassVar = dict.fromkeys(keys, (PROVINCE,)) | dict.fromkeys(
        ("hotline.work_order", "hotline.callback"), CITIES
    )

    def version(self, dataset: str, node: str) -> Row:
        pick, number = self.random.choice, self.random.randint
        order = order_no(node, number(1, 12))
        row = {"data_timestamp": self.cursor(), "is_delete": pick(["0", "F", "0", "F", "0", "0", "1", "T"])}
        time = [pick(["20240801", "20240802093000", "20240815120000", "20240901", None]) for _ in range(5)]
        department, expert = pick(["D01", "D02", "D03", None]), f"E0000{number(1, 5)}"
        own: dict[str, dict[str, Any]] = {
            "department": {"dept_code": f"D0{number(1, 3)}", "dept_name": pick("ABC")},
            "expert": {
                "expert_code": expert,
                "dept_code": department,
                "start_date": "20240101",
                "specialty": pick("AB"),
            },
            "expert_session": {
                "session_code": f"S0000000{number(1, 9)}",
                "expert_code": pick([expert, None]),
                "session_date": "20240809",
                "session_kind": pick(["1", "2", "9", None]),
            },
            "policy_week": {
                "week_code": f"2024W3{number(0, 9)}",
                "week_start": "20240812",
                "topic": pick("AB"),
                "dept_code": department,
            },
            "work_order": {
                "order_no": order,
                "class_code": pick(["0101", "1202", "9901", None]),
                "channel_code": pick(["1", "4", "9"]),
                "content_length": number(1, 99),
                "division_code": pick([node, "210102", "219999", None]),
                "accept_time": time[0],
                "dispatch_time": time[1],
                "due_time": time[2],
                "first_contact_time": time[3],
                "close_time": time[4],
                "status_name": pick(STATUSES),
            },
            "callback": {
                # a correction may move a callback to another order
                "callback_id": f"{order}C{number(1, 2)}",
                "order_no": pick([order, order, order_no(node, number(1, 12))]),
                "callback_time": time[0],
                "is_solved": pick(["0", "1", "F", "T", None]),
                "satisfaction_code": pick(["1", "2", "3", "4", "", None]),
                "reason_code": pick(["1", None]),
            },
        }
        return {**row, **own[dataset.removeprefix("hotline.")]}
