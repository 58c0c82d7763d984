"""A city with an API, whose rows are the truth."""

from collections import Counter

import pytest
from tests.support.faults import VICTIM, Lot, Scene, lot_of
from tests.support.faults_nights import tonight
from tests.support.http_city import City


class HttpNode(City):
    """A city with an API, whose rows are the truth."""

    node = VICTIM

    def truth(self) -> Counter[Lot]:
        return Counter(lot_of(VICTIM, row) for row in self.rows)


def grow(scene: Scene, city: HttpNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new night: every lot of the city has a new version, and there are new ones."""
    tonight(scene)
    monkeypatch.setattr("tests.support.http_city.CLOCK", scene.clock())
    for number, row in enumerate(city.rows, start=1):
        row["DATA_TIMESTAMP"] = f"{scene.night:%Y%m%d}{100000 + number}"
    city.pages = 0
