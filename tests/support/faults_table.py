"""The table of the fault suite: of each fault and kill point, how often it struck, and what it cost.

A test tells what it did through the fixture ``tally``; the table is printed at the end of the run.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

ROUNDS = max(2, int(os.environ.get("FAULT_ROUNDS", "2")))
"""How often each kill point is struck; at least twice."""
PROPERTY = "fault"
"""The user property of a test report that holds one line of the table: so it reaches the run's end from any worker."""


@dataclass(frozen=True)
class Cost:
    """Rows that the truth has and readers do not see, and rows that readers see and the truth has not (so often)."""

    lost: int
    doubled: int


@dataclass
class Line:
    """One fault and variant."""

    number: int
    fault: str
    variant: str
    hits: int = 0
    survived: int = 0
    lost: int = 0
    doubled: int = 0


@dataclass
class Strike:
    """One blow. Say ``hit()`` once it is seen to have struck, and ``cost`` once all is over."""

    is_hit: bool = False
    cost: Cost = Cost(0, 0)

    def hit(self) -> None:
        self.is_hit = True


@dataclass
class Tally:
    """What one test writes down. ``least``: how often each variant has to strike in it."""

    number: int
    fault: str
    least: int = 2
    lines: dict[str, Line] = field(default_factory=dict)

    @contextmanager
    def strike(self, variant: str) -> Iterator[Strike]:
        """One blow; it is survived when the block ends without an error and nothing was lost or doubled."""
        line = self.lines.setdefault(variant, Line(self.number, self.fault, variant))
        one = Strike()
        try:
            yield one
            assert one.is_hit, f"{variant}: it did not strike"
            assert one.cost == Cost(0, 0), f"{variant}: {one.cost}"
            line.survived += 1
        finally:
            line.hits += one.is_hit
            line.lost += one.cost.lost
            line.doubled += one.cost.doubled


def table(lines: Iterable[Line]) -> list[str]:
    """The table in Markdown, with a line for the sum."""
    rows = sorted(_merged(lines), key=lambda line: (line.number, line.fault, line.variant))
    cells = [
        [str(row.number), row.fault, row.variant, str(row.hits), str(row.survived), str(row.lost), str(row.doubled)]
        for row in rows
    ]
    total = [sum(values) for values in zip(*((r.hits, r.survived, r.lost, r.doubled) for r in rows), strict=True)]
    cells.append(["", "all", "", *map(str, total)])
    head = ["#", "fault", "kill point or variant", "hits", "survived", "lost", "doubled"]
    return [_line(head), _line(["---"] * 3 + ["---:"] * 4), *map(_line, cells)]


def _merged(lines: Iterable[Line]) -> Iterable[Line]:
    """One line per fault and variant, whichever tests they came from."""
    found: dict[tuple[int, str, str], Line] = {}
    for line in lines:
        known = found.setdefault((line.number, line.fault, line.variant), Line(line.number, line.fault, line.variant))
        known.hits += line.hits
        known.survived += line.survived
        known.lost += line.lost
        known.doubled += line.doubled
    return found.values()


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
