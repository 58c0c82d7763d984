"""What the tasks of the DAG reconcile call: a part per node, a repair, its gate, and the question about deletions."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from tests.conftest import Warehouse
from tests.support.http_city import SECRET, City, served
from tests.support.ingest import NODE, Fleet, admit_all, lot, run_night

from yingshang.orchestrate import steps

ASKED: dict[str, Any] = {"systems": ["trading"], "nodes": None, "datasets": None, "dry_run": False}


@pytest.fixture
def city(warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[City]:
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))
    Fleet(tmp_path / "registry").add(NODE, "http", "lot")
    city = City()
    city.rows = [lot(n) for n in range(1, 60)] + [lot(60, stamp="20240813200000")]
    with served(city) as port:
        warehouse.add_connections({f"trading_{NODE}": f"http://client:{SECRET}@127.0.0.1:{port}/city/1"})
        run_night("run-1")
        admit_all()
        yield city


def test_the_tasks_compare_repair_judge_and_fail_where_a_person_is_asked(warehouse: Warehouse, city: City) -> None:
    (part,) = steps.plan_reconcile(ASKED, "city")
    city.rows.append(lot(70, stamp="20240813110000"))
    told = steps.reconcile_node(part, "manual__1")
    assert json.loads(json.dumps(told))["compared"][0]["lost_rows"] == 1
    (gate,) = steps.reconcile_gate("manual__1")
    assert len(gate["admitted"]) == 1
    del city.rows[:40]
    with pytest.raises(AirflowFailException, match=r"40 of 60 rows are gone.*--accept-deletes 2"):
        steps.reconcile_node(part, "manual__2")
    assert steps.reconcile_gate("manual__2") == []
    dry = steps.reconcile_node({**part, "dry_run": True, "datasets": ["lot"]}, "manual__1")
    assert dry["compared"][0]["outcome"] == "repaired", "what a run has compared is not compared again"
