"""The access registry: which role of a BI tool sees which division, and how sensitive what it sees may be.

Read from ``access.csv`` of the registry. A row is a PostgreSQL login ``yingshang_<role>``; what it may read follows
from this row and from what each mart says of itself, never from SQL of its own.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from yingshang.contracts.registry import Node, load_registry, read_rows, shown_path
from yingshang.errors import RegistryError
from yingshang.settings import settings

Sensitivity = Literal["public", "internal", "confidential"]
SENSITIVITIES: tuple[Sensitivity, ...] = get_args(Sensitivity)
"""From what anybody may see up to tokens of persons. A role sees all up to its ceiling."""
FILE = "access.csv"
ROLE_NAME = re.compile(r"bi_[a-z][a-z0-9_]{0,39}")
SHANGHAI = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True)
class Access:
    """A row of the access registry: ``role`` sees ``division_code`` and all below it, up to ``sensitivity``.

    ``expires_on``: the first day (Asia/Shanghai) on which it sees nothing. ``review_date``: by when the approver has to
    look at it again.
    """

    role: str
    division_code: str
    sensitivity: Sensitivity
    approver: str
    review_date: dt.date
    expires_on: dt.date
    purpose: str

    @property
    def login(self) -> str:
        """Name of its login in PostgreSQL."""
        return f"yingshang_{self.role}"


@dataclass(frozen=True)
class AccessRegistry:
    """What the registry says on a day.

    Attributes:
        active: rows that hold, by role.
        expired: rows that have expired: their roles see nothing.
        overdue: rows whose review is overdue; they hold.
        nodes: of the registry, by code.
        path: of the file, for messages.
    """

    active: Mapping[str, Access]
    expired: tuple[Access, ...]
    overdue: tuple[Access, ...]
    nodes: Mapping[str, Node]
    path: str

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person has to look at."""
        return (
            *(
                f"{self.path}: {one.role} has expired on {one.expires_on}: it sees nothing any more. Remove the row, or"
                f" let {one.approver} approve it anew"
                for one in self.expired
            ),
            *(
                f"{self.path}: the review of {one.role} was due on {one.review_date}: ask {one.approver}"
                for one in self.overdue
            ),
        )

    def below(self, division_code: str) -> tuple[str, ...]:
        """A division and all nodes below it, by the registry's own hierarchy."""
        children = [code for code, node in self.nodes.items() if node.parent_code == division_code]
        return (division_code, *(code for child in sorted(children) for code in self.below(child)))

    def level(self, access: Access) -> str:
        """province, city or county."""
        return self.nodes[access.division_code].level


def load_access(
    root: Path | None = None, *, today: dt.date | None = None, refuse_expired: bool = False
) -> AccessRegistry:
    """The access registry under ``root`` (default: the installation's), as it stands on ``today`` in Shanghai.

    Args:
        refuse_expired: an expiry in the past is an error, as for a person who checks or applies the registry. A night
            goes on instead, and ends that access.

    Raises:
        RegistryError: a line for each problem, with file and line number.
    """
    root = root or settings().registry_dir
    today = today or dt.datetime.now(SHANGHAI).date()
    nodes = load_registry(root).nodes
    path, problems = root / FILE, list[str]()

    def access(row: dict[str, str]) -> tuple[tuple[str, ...], Access]:
        return _access(row, nodes)

    rows = tuple(read_rows(path, Access, access, problems))
    expired = tuple(one for one in rows if one.expires_on <= today)
    if refuse_expired:
        problems += [
            f"{shown_path(path)}: expires_on {one.expires_on} of {one.role} is in the past: remove the row, or let"
            f" {one.approver} approve it anew and write the new date"
            for one in expired
        ]
    if problems:
        raise RegistryError("\n".join(problems))
    active = {one.role: one for one in rows if one not in expired}
    overdue = tuple(one for one in active.values() if one.review_date < today)
    return AccessRegistry(active, expired, overdue, nodes, shown_path(path))


def _access(row: dict[str, str], nodes: Mapping[str, Node]) -> tuple[tuple[str, ...], Access]:
    role, division, sensitivity = row["role"], row["division_code"], row["sensitivity"]
    if not ROLE_NAME.fullmatch(role):
        raise ValueError(f"unknown role {role!r}: it is named bi_ and small letters, digits or _, as bi_heping")
    if division not in nodes:
        raise ValueError(f"unknown division {division!r} of {role}: it is not in nodes.csv")
    if sensitivity not in SENSITIVITIES:
        raise ValueError(f"sensitivity {sensitivity!r} of {role} is not one of {', '.join(SENSITIVITIES)}")
    if sensitivity == "confidential" and nodes[division].level != "province":
        raise ValueError(
            f"{role} of the {nodes[division].level} {division} can't be confidential: tokens of persons are for the"
            " province alone"
        )
    for key in ("approver", "purpose"):
        if not row[key].strip():
            raise ValueError(f"{key} of {role} is empty: {'who has approved it' if key == 'approver' else 'what for'}?")
    review, expires = (_date(row, key) for key in ("review_date", "expires_on"))
    made = Access(role, division, sensitivity, row["approver"], review, expires, row["purpose"])
    return (role,), made


def _date(row: dict[str, str], key: str) -> dt.date:
    try:
        return dt.date.fromisoformat(row[key])
    except ValueError:
        raise ValueError(f"{key} {row[key]!r} of {row['role']} is not a date (yyyy-mm-dd)") from None
