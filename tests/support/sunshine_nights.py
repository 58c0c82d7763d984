"""Nights of the sunshine services at random by seed."""

from dataclasses import dataclass
from typing import Any, ClassVar

from tests.support.random_nights import RandomNights
from tests.support.raw_log import Row

PROVINCE = "210000"
CITIES = ("210100", "210200")
VILLAGES = {
    "210100": ("210102001002", "210102001003", "210199001001"),
    "210200": ("210202002001", "210202002999", "210299999999"),
}
"""Of each city one or two of the list, and one or two that it does not have."""
TIMES = ("20240703", "20240705093000", "20240731235959", "20240801000000", "20240809120000", None)


def disclosure_id(village: str, number: int) -> str:
    """Village (12), yyyyMM, sequence."""
    return f"{village}202407{number:04d}"


@dataclass
class Sunshine(RandomNights):
    """Disclosures and problems of two cities, counts of the province per village and month."""

    keys: ClassVar = {
        "sunshine.disclosure": ("disclosure_id",),
        "sunshine.tracked_problem": ("problem_id",),
        "sunshine.registration": ("village_code", "stat_month"),
        "sunshine.evaluation": ("village_code", "stat_month"),
        "sunshine.petition": ("village_code", "stat_month"),
    }
    nodes: ClassVar = dict.fromkeys(("sunshine.disclosure", "sunshine.tracked_problem"), CITIES) | dict.fromkeys(
        ("sunshine.registration", "sunshine.evaluation", "sunshine.petition"), (PROVINCE,)
    )

    def version(self, dataset: str, node: str) -> Row:
        pick, number = self.random.choice, self.random.randint
        villages = VILLAGES.get(node) or [village for some in VILLAGES.values() for village in some]
        village = pick(villages)
        row = {"data_timestamp": self.cursor(), "is_delete": pick(["0", "F", "0", "F", "0", "0", "1", "T"])}
        own: dict[str, dict[str, Any]] = {
            "disclosure": {
                # a disclosure moves from one village to another with a correction
                "disclosure_id": disclosure_id(villages[0], number(1, 40)),
                "village_code": village,
                "category_code": pick(["1", "2", "3", None]),
                "enter_time": pick(TIMES),
                "review_time": pick(TIMES),
                "publish_time": pick(TIMES),
                "is_withdrawn": pick(["0", "F", "1", "T", None]),
            },
            "tracked_problem": {
                "problem_id": f"TP{node}{number(1, 9)}",
                "village_code": village,
                "problem_kind": pick(["1", "2", None]),
                "open_time": pick(TIMES),
                "resolve_time": pick(TIMES),
            },
            "registration": {"new_users": number(0, 9)},
            "evaluation": {"participants": number(5, 9), "satisfied": number(0, 5)},
            "petition": {"complaints": number(0, 9), "reports": number(0, 9)},
        }
        name = dataset.split(".")[1]
        if name in ("registration", "evaluation", "petition"):
            own[name] |= {"village_code": village, "stat_month": pick(["202407", "202408"])}
        return {**row, **own[name]}
