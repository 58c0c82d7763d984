"""The DAGs of repair and housekeeping: thin, dry at first, in the pools of the nights."""

import subprocess
import sys
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from yingshang.maintenance import STEPS
from yingshang.orchestrate import steps
from yingshang.settings import PROJECT_ROOT

DAGS = PROJECT_ROOT / "dags"
HEAVY = ("dbt", "great_expectations", "polars", "pyarrow", "adbc_driver_postgresql", "psycopg")


@pytest.fixture(scope="module")
def dags() -> dict[str, Any]:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(DAGS)
    assert bag.import_errors == {}
    return dict(bag.dags)


def test_a_reload_is_triggered_by_hand_and_dry_at_first(dags: dict[str, Any]) -> None:
    params = dags["reload"].params
    assert (params["dry_run"], params["replace"]) == (True, False)
    assert params.get_param("system").schema["enum"] == list(steps.systems())
    assert dags["reload"].timetable.can_be_scheduled is False


def test_a_reload_reads_each_level_in_its_pool_and_judges_whatever_came(dags: dict[str, Any]) -> None:
    dag = dags["reload"]
    for level in ("province", "city", "county"):
        read = dag.get_task(f"read_{level}")
        assert read.pool == f"source_{level}"
        assert read.upstream_task_ids == {f"plan_{level}"}
        assert read.downstream_task_ids == {"landing_gate"}
    assert dag.get_task("landing_gate").trigger_rule == "all_done"


def test_a_reconciliation_runs_every_week_and_repairs(dags: dict[str, Any]) -> None:
    params = dags["reconcile"].params
    assert params["dry_run"] is False, "the weekly run has nobody to ask"
    assert params.get_param("systems").schema["items"]["enum"] == list(steps.systems())
    assert dags["reconcile"].timetable.can_be_scheduled is True


def test_a_reconciliation_compares_each_level_in_its_pool_and_judges_whatever_was_repaired(
    dags: dict[str, Any],
) -> None:
    dag = dags["reconcile"]
    for level in ("province", "city", "county"):
        compare = dag.get_task(f"compare_{level}")
        assert compare.pool == f"source_{level}"
        assert compare.upstream_task_ids == {f"plan_{level}"}
        assert compare.downstream_task_ids == {"landing_gate"}
    assert dag.get_task("landing_gate").trigger_rule == "all_done"


def test_a_reconciliation_of_named_nodes_asks_only_what_they_provide() -> None:
    asked = {"systems": None, "nodes": ["210100"], "datasets": ["lot"], "dry_run": True}
    parts = steps.plan_reconcile(asked, "city")
    assert [(one["system"], one["node_code"], one["datasets"]) for one in parts] == [("trading", "210100", ["lot"])]
    assert steps.plan_reconcile(asked, "county") == []
    with pytest.raises(AirflowFailException, match="nothing"):
        steps.plan_reconcile({**asked, "datasets": ["nothing"]}, "city")


def test_housekeeping_runs_every_step_and_sweeps_last(dags: dict[str, Any]) -> None:
    dag = dags["maintenance"]
    run = {task.task_id: task.op_args[0] for task in dag.tasks}
    assert sorted(run.values()) == sorted(STEPS)
    assert dag.get_task("vacuum_tables").upstream_task_ids == set(run) - {"vacuum_tables"}
    assert dag.get_task("vacuum_tables").trigger_rule == "all_done"


@pytest.mark.parametrize("name", ["reload", "reconcile", "maintenance"])
def test_parsing_imports_nothing_heavy(name: str) -> None:
    code = (
        "import runpy, sys\n"
        f"runpy.run_path({str(DAGS / f'{name}.py')!r})\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip().splitlines()[-1] == "[]"
