"""What the nights of the fault suite share: a night begins, a node is refused, it is mended; a county's drops."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.faults import NEIGHBOUR, VICTIM, PgNode, Rows, Scene
from tests.support.ingest import csv_of, lot, write_drop

from yingshang.errors import YingshangError

TABLE = "BID_SECTION"


def tonight(scene: Scene) -> None:
    """The next night; the neighbour has new lots."""
    scene.open()
    neighbour = scene.pg(NEIGHBOUR)
    neighbour.add(3, scene.stamp())


def busy_night(scene: Scene, rows: int = 5) -> None:
    """The next night: both nodes have new lots and changed ones."""
    scene.open()
    for source in scene.sources.values():
        if isinstance(source, PgNode):
            source.add(rows, scene.stamp())
            source.source.execute(
                "update bid_section set contract_reckon_price = coalesce(contract_reckon_price, 0) + 1,"
                " data_timestamp = %s where right(bid_section_code, 4) = '1001'",
                scene.stamp(),
            )


def a_night(scene: Scene, victim: PgNode) -> None:
    """The next night: the victim has new lots at noon. What it has done in silence is not seen."""
    scene.open()
    victim.add(2, scene.stamp("120000"))
    assert scene.ingest() == {}


def refused(scene: Scene, kind: type[YingshangError], *named: str) -> None:
    """Nothing of the victim loads, in words that name it; the province publishes without it and says so."""
    failed = scene.ingest()
    assert list(failed) == [VICTIM], failed
    assert isinstance(failed[VICTIM], kind), failed
    for word in (VICTIM, "trading.lot", *named):
        assert word in str(failed[VICTIM]), failed[VICTIM]
    assert scene.batches() == []
    scene.publish(without=[VICTIM])
    assert scene.missing() == [VICTIM]
    scene.check()


def mended(scene: Scene, *, loaded: bool = True) -> None:
    """The same run again: now it comes, and the night is published anew."""
    assert scene.ingest() == {}
    assert bool(scene.batches()) is loaded
    scene.publish()
    scene.check()


def reasons(scene: Scene) -> list[list[str]]:
    return [
        row[0]
        for row in scene.ask(
            "select reasons from quarantine.row where run_id = %s and batch_id is not null order by row_number",
            scene.run_id,
        )
    ]


class County:
    """A county that sends files, and what is true of it."""

    def __init__(self, scene: Scene, folder: Path, truth: Rows) -> None:
        self.scene, self.folder, self.truth = scene, folder, truth
        self._next = 1

    def new(self, rows: int = 12, **other: Any) -> list[dict[str, Any]]:
        """New lots of tonight."""
        first, self._next = self._next, self._next + rows
        return [lot(n, stamp=self.scene.stamp(), **other) for n in range(first, first + rows)]

    def send(
        self, content: bytes, rows: int, *, told: Mapping[str, Any] | None = None, suffix: str = "csv",
        revision: int = 1, period: str = "",
    ) -> Path:  # fmt: skip
        """A drop of tonight, unless another period is said."""
        told = {"created": self.scene.clock(), **(told or {})}
        period = period or f"{self.scene.night:%Y%m%d}"
        return write_drop(self.folder, TABLE, period, content, rows, told=told, suffix=suffix, revision=revision)

    def deliver(self, rows: list[dict[str, Any]], revision: int = 1) -> None:
        """What is right, and true from now on."""
        self.truth.now(*rows)
        self.send(csv_of(rows), len(rows), revision=revision)
