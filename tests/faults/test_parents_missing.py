"""Children whose parent is not here, through the project's own models: orphans until it comes (24)."""

import contextlib
import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.support.dbt_models import Models, profile_variables
from tests.support.faults import NEIGHBOUR, VICTIM, PgNode, Scene
from tests.support.faults_marts import MARTS, LotBuilder, lot_publisher
from tests.support.faults_table import ROUNDS, Cost, Tally
from tests.support.ingest import bid, lot
from tests.support.publishing import Verdict

from localpg import Cluster
from yingshang.ingest.reconcile import reconcile_node
from yingshang.publish.model import Build, BuildOutcome, Plan, SlotName
from yingshang.warehouse import connect
from yingshang.warehouse.rights import MartRights

FACT = "fct_bid"
VARIANTS = (
    "never arrive",
    "arrive in a later night",
    "arrive back-dated, found by reconciliation",
    "deleted at the source, closed by reconciliation",
)
FIRST = 5_000
"""Number of the first lot that comes after its bids."""
Bid = tuple[str, str, bool]
"""lot, bidder, whether it is an orphan"""


@dataclass
class WithBids(LotBuilder):
    """The small marts, and beside them the project's own fact of bids with all that it is made of, by dbt."""

    folder: Path = field(kw_only=True)

    def plan(self, slot: SlotName, last_success: int | None) -> Plan:
        marts = (*MARTS, FACT)
        return Plan(marts, "bids-1", rights={mart: MartRights("public") for mart in marts})

    def run(self, plan: Plan, build: Build) -> BuildOutcome:
        outcome = super().run(plan, build)
        with connect("transform") as connection:
            full = ["--full-refresh"] if build.kind == "full" else ["--exclude-resource-type", "seed"]
            Models(connection, profile_variables(), self.folder).checked(
                "build", build.slot, "--select", f"+{FACT}", "--exclude-resource-type", "test",
                "--exclude-resource-type", "unit_test", *full,
            )  # fmt: skip
        return outcome


@pytest.fixture
def node(scene: Scene, pg_server: Cluster, tmp_path: Path) -> PgNode:
    """A node with lots and bids: each bid has its lot."""
    builder = WithBids(folder=tmp_path / "dbt")
    scene.publisher = lambda: lot_publisher(builder, audit=lambda build_id: Verdict(True))  # rows of several builds
    scene.postgres(NEIGHBOUR, pg_server)
    made: PgNode = scene.postgres(VICTIM, pg_server)
    made.source.create("bid")
    scene.fleet.add(VICTIM, "postgres", "bid")
    made.source.insert("bid", *(bid(number, node=VICTIM) for number in range(1, 31)))
    scene.whole_night()
    assert orphans(scene) == set()
    return made


@pytest.mark.fault(24, "parents")
def test_a_child_without_its_parent_is_shown_as_an_orphan_until_the_parent_comes(
    scene: Scene, node: PgNode, tally: Tally
) -> None:
    """Four bids each time: two get their lot, one never does, one loses it. All four stay in the mart."""
    for number in range(ROUNDS):
        with contextlib.ExitStack() as stack:
            strikes = {variant: stack.enter_context(tally.strike(variant)) for variant in VARIANTS}
            never, later, late = (FIRST + 3 * number + one for one in range(3))
            gone = number + 1
            before = orphans(scene)
            scene.open()
            node.add(2, scene.stamp())
            node.source.insert("bid", *(bid(one, node=VICTIM, stamp=scene.stamp()) for one in (never, later, late)))
            node.source.execute("delete from bid_section where bid_section_code = %s", code(gone))
            assert scene.ingest() == {}
            assert compared(scene) == (0, 1)
            scene.publish()
            scene.check()
            assert orphans(scene) - before == {code(one) for one in (never, later, late, gone)}
            for strike in strikes.values():
                strike.hit()
            assert cost(scene, node) == Cost(0, 0), "no child is lost with its parent"
            scene.open()
            back = f"{scene.night - dt.timedelta(days=1):%Y%m%d}083000"
            node.source.insert("lot", lot(later, node=VICTIM, stamp=scene.stamp()), lot(late, node=VICTIM, stamp=back))
            assert scene.ingest() == {}
            assert compared(scene) == (1, 0), "no window holds the one that was back-dated"
            scene.publish()
            scene.check()
            assert orphans(scene) - before == {code(never), code(gone)}
            found = cost(scene, node)
            for strike in strikes.values():
                strike.cost = found


def code(number: int) -> str:
    return str(lot(number, node=VICTIM)["BID_SECTION_CODE"])


def compared(scene: Scene) -> tuple[int, int]:
    """Reconcile the node; its lots that were lost, and those that were deleted. Of its bids, nothing differs."""
    found = {one.dataset: one for one in reconcile_node("trading", VICTIM, f"compare {scene.night}").compared}
    assert found["bid"].differences == 0
    assert found["lot"].changed_rows == 0
    return found["lot"].lost_rows, found["lot"].deleted_rows


def bids(scene: Scene) -> Counter[Bid]:
    """What a BI tool sees."""
    with scene.warehouse.connect("bi_reader") as reader:
        return Counter(reader.execute(f"select lot_code, bidder_code, is_orphan from marts.{FACT}").fetchall())


def orphans(scene: Scene) -> set[str]:
    """Lots that the readers' orphans name."""
    return {lot_code for lot_code, _, is_orphan in bids(scene) if is_orphan}


def cost(scene: Scene, node: PgNode) -> Cost:
    """Lots and bids together; a bid counts only with the right flag."""
    truth: Counter[Any] = Counter(
        node.source.execute(
            "select b.bid_section_code, b.bidder_org_code, not exists (select from bid_section l"
            " where l.bid_section_code = b.bid_section_code) from bidder b"
        )
    )
    of_lots, seen = scene.cost(), bids(scene)
    return Cost(of_lots.lost + (truth - seen).total(), of_lots.doubled + (seen - truth).total())
