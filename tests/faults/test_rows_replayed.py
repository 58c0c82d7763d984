"""Rows that were refused are not lost: once the contract or the source is mended they are replayed, each once (25)."""

import datetime as dt
import shutil
from pathlib import Path

import pytest
from tests.support.faults import NEIGHBOUR, VICTIM, PgNode, Scene
from tests.support.faults_table import ROUNDS, Tally

from localpg import Cluster
from yingshang.ingest.replay import Selection, replay
from yingshang.settings import PROJECT_ROOT

WAITING = Selection(system="trading", dataset="lot", node_code=VICTIM)
CODES = "23456789"


@pytest.fixture
def contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The contract of lots, to be mended, among the others in a folder of their own."""
    home = tmp_path / "home"
    (home / "include").mkdir(parents=True)
    for name in ("expectations", "dbt_project", "docs", "include/registry"):
        (home / name).symlink_to(PROJECT_ROOT / name)
    shutil.copytree(PROJECT_ROOT / "include" / "contracts", home / "include" / "contracts")
    monkeypatch.setenv("YINGSHANG_HOME", str(home))
    return home / "include" / "contracts" / "trading" / "lot.yaml"


@pytest.fixture
def victim(scene: Scene, pg_server: Cluster) -> PgNode:
    scene.postgres(NEIGHBOUR, pg_server)
    made = scene.postgres(VICTIM, pg_server)
    scene.whole_night()
    return made


def passed(scene: Scene) -> int:
    """Replay what waits; the rows that were loaded."""
    return sum(one.passed for one in replay(WAITING).batches)


def linked(scene: Scene) -> int:
    """Rows in raw whose replay names the batch and row in which they were quarantined."""
    ((rows,),) = scene.ask(
        "select count(*) from quarantine.row q join ops.batch b on b.batch_id = q.replayed_in"
        " and b.replay_of = q.batch_id and b.night = q.night"
        " join raw.trading__lot r on r._batch_id = b.batch_id and r._row = q.row_number"
    )
    return int(rows)


@pytest.mark.fault(25, "rows refused, replayed")
def test_rows_are_replayed_once_the_contract_is_mended(
    scene: Scene, victim: PgNode, contract: Path, tally: Tally
) -> None:
    known = "'0', '1'"
    for number, code in enumerate(CODES[:ROUNDS], start=1):
        with tally.strike("contract mended") as strike:
            scene.open()
            victim.add(12, scene.stamp())
            victim.add(4, scene.stamp("130000"), PRICE_UNIT=code)
            assert scene.ingest() == {}
            scene.publish()
            assert scene.cost().lost == 4
            assert passed(scene) == 0
            strike.hit()
            text = contract.read_text(encoding="utf-8")
            contract.write_text(
                text.replace(f"validValues: [{known}]", f"validValues: [{known}, '{code}']"), encoding="utf-8"
            )
            known += f", '{code}'"
            assert passed(scene) == 4
            assert passed(scene) == 0
            assert linked(scene) == 4 * number
            scene.publish()
            scene.check()
            strike.cost = scene.cost()


@pytest.mark.fault(25, "rows refused, replayed")
def test_rows_are_replayed_once_the_clock_of_the_source_is_mended(scene: Scene, victim: PgNode, tally: Tally) -> None:
    for number in range(1, ROUNDS + 1):
        with tally.strike("source mended") as strike:
            scene.open()
            victim.add(6, scene.stamp())
            late = f"{scene.night - dt.timedelta(days=1):%Y%m%d}235900"
            victim.source.set_clock(late)
            assert scene.ingest() == {}
            scene.publish(without=[VICTIM])
            assert scene.cost().lost == 6
            strike.hit()
            scene.open()
            assert scene.ingest() == {}
            assert passed(scene) == 6, "the source's clock is right again"
            assert linked(scene) == 6 * number
            scene.publish()
            scene.check()
            strike.cost = scene.cost()
