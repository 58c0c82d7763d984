"""Nights of a few nodes, at random by seed, written straight into raw and the ledger.

A system's records come from a subclass, which says what its datasets are and makes one version of a record::

    class Sunshine(RandomNights):
        keys = {"sunshine.disclosure": ("disclosure_id",), ...}
        nodes = {"sunshine.disclosure": CITIES, ...}

        def version(self, dataset: str, node: str) -> Row: ...

Keys must be few, so that versions of a record meet: corrections, tombstones, children before their parents.
"""

import datetime as dt
import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from tests.support.raw_log import FIRST_NIGHT, RawLog, Row


def night(number: int) -> dt.date:
    return FIRST_NIGHT + dt.timedelta(days=number)


@dataclass
class RandomNights(ABC):
    """What can become of a batch does: it waits, is admitted in any order, withdrawn, superseded, readmitted.

    Attributes:
        away: nodes that deliver nothing, each in these nights (by number).
        undone: batches that are withdrawn or superseded each night after the first, some of them readmitted at once.
        most: rows of a batch in the first night at most; later ones have at most a fifth of it.
    """

    keys: ClassVar[Mapping[str, tuple[str, ...]]]
    nodes: ClassVar[Mapping[str, tuple[str, ...]]]

    log: RawLog
    random: random.Random
    number: int = 0
    away: Mapping[str, range] = field(default_factory=dict)
    most: int = 20
    undone: int = 3
    waiting: list[int] = field(default_factory=list)
    admitted: list[int] = field(default_factory=list)

    @abstractmethod
    def version(self, dataset: str, node: str) -> Row:
        """A version of some record, with ``data_timestamp`` (see :meth:`cursor`) and ``is_delete``."""

    def cursor(self) -> str:
        """A time of this night or of the one before, on the hour, so that cursors tie."""
        day = night(self.number - (self.random.random() < 0.2))
        return f"{day:%Y%m%d}{self.random.randint(0, 3):02d}0000"

    def pass_night(self) -> dt.date:
        """Some records change; some batches are admitted, in any order; some events undo earlier ones."""
        tonight = night(self.number)
        for dataset in self.keys:
            for node in self.nodes[dataset]:
                if self.number in self.away.get(node, ()):
                    continue
                if self.random.random() < (0.9 if self.number == 0 else 0.5):
                    self._deliver(dataset, node, tonight)
        self.random.shuffle(self.waiting)
        kept_back = [one for one in self.waiting if self.random.random() < 0.15]
        chosen = [one for one in self.waiting if one not in kept_back]
        if chosen:
            self.log.say("admitted", *chosen)
        self.admitted += chosen
        self.waiting = kept_back
        if self.number and self.admitted:
            for batch_id in self.random.sample(self.admitted, min(self.undone, len(self.admitted))):
                self.log.say(self.random.choice(["withdrawn", "superseded"]), batch_id)
                if self.random.random() < 0.3:
                    self.log.say("admitted", batch_id)
                else:
                    self.admitted.remove(batch_id)
        self.number += 1
        return tonight

    def _deliver(self, dataset: str, node: str, tonight: dt.date) -> None:
        rows = {}
        for _ in range(self.random.randint(1, self.most if self.number == 0 else max(self.most // 5, 1))):
            row = self.version(dataset, node)
            rows[tuple(row[key] for key in self.keys[dataset])] = row
        self.waiting.append(self.log.batch(dataset, node, rows.values(), night=tonight))
