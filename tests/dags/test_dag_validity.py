"""Every DAG parses fast and cheaply, has an owner, tags and docs, and retries only what a retry can help."""

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from yingshang.errors import ContractError, SourceUnavailable
from yingshang.orchestrate import steps
from yingshang.settings import PROJECT_ROOT

DAGS = PROJECT_ROOT / "dags"
HEAVY = ("dbt", "great_expectations", "polars", "pyarrow", "adbc_driver_postgresql")


@pytest.fixture(scope="module")
def dags() -> dict[str, Any]:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(DAGS)
    assert bag.import_errors == {}
    return dict(bag.dags)


def test_every_dag_file_is_seen_by_airflow(dags: dict[str, Any]) -> None:
    files = {path.stem for path in DAGS.glob("*.py")}
    assert files == set(dags), "a DAG file that lacks the word airflow is ignored without a word"


def test_every_dag_has_an_owner_tags_and_docs(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        assert dag.doc_md, dag.dag_id
        assert dag.tags, dag.dag_id
        assert not dag.catchup, dag.dag_id
        for task in dag.tasks:
            assert task.owner == "data-engineering", task.task_id
            assert task.execution_timeout, task.task_id
            assert task.retries == 2, task.task_id


FLEET = {
    "trading": {"province": 1, "city": 14, "county": 100},
    "supervision": {"province": 1, "city": 14, "county": 100},
    "hotline": {"province": 1, "city": 14},
    "sunshine": {"province": 1, "city": 14},
}


@pytest.mark.parametrize("system", FLEET)
def test_the_night_has_one_task_per_system_and_node_and_a_pool_per_level(dags: dict[str, Any], system: str) -> None:
    group = f"ingest_{system}"
    mapped = {task.task_id: task for task in dags["nightly"].tasks if task.task_id.startswith(f"{group}.")}
    sizes = {name: len(task.op_kwargs_expand_input.value["node_code"]) for name, task in mapped.items()}
    assert sizes == {f"{group}.{level}": number for level, number in FLEET[system].items()}
    assert {task.pool for task in mapped.values()} == {f"source_{level}" for level in FLEET[system]}
    for task in mapped.values():
        assert task.upstream_task_ids == {"open_night"}
        assert task.downstream_task_ids == {"close_night"}
        assert task.partial_kwargs["op_kwargs"]["system"] == system


def test_every_system_of_the_registry_is_read(dags: dict[str, Any]) -> None:
    groups = {task.task_id.split(".")[0] for task in dags["nightly"].tasks if "." in task.task_id}
    assert groups == {f"ingest_{system}" for system in steps.systems()} == {f"ingest_{system}" for system in FLEET}


def test_a_registry_of_one_system_makes_a_night_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = PROJECT_ROOT / "include" / "registry"
    for name in ("nodes.csv", "provisions.csv", "quorum.csv"):
        lines = (given / name).read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for number, line in enumerate(lines) if name == "nodes.csv" or not number or "hotline," in line]
        (tmp_path / name).write_text("".join(kept), encoding="utf-8")
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path))
    assert steps.systems() == ("hotline",)
    assert {level: len(nodes) for level, nodes in steps.nodes_by_level("hotline").items()} == {
        "province": 1,
        "city": 14,
    }


def test_what_is_built_is_built_in_its_own_pool(dags: dict[str, Any]) -> None:
    for name in ("build", "publish_gate", "publish"):
        assert dags["nightly"].get_task(name).pool == "warehouse_build"


def test_one_failed_node_does_not_stop_the_night(dags: dict[str, Any]) -> None:
    assert dags["nightly"].get_task("close_night").trigger_rule == "all_done"


def test_a_night_that_fails_has_its_report_and_stays_failed(dags: dict[str, Any]) -> None:
    night = dags["nightly"]
    assert {task.task_id for task in night.leaves} == {"announce", "report_unpublished"}
    assert night.get_task("report_unpublished").trigger_rule == "one_failed"
    assert night.get_task("announce").trigger_rule == "none_failed"


def test_parsing_imports_nothing_heavy() -> None:
    code = (
        "import runpy, sys\n"
        f"runpy.run_path({str(DAGS / 'nightly.py')!r})\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_a_run_at_one_in_the_morning_is_the_night_of_the_day_before() -> None:
    at = dt.datetime(2024, 8, 16, 1, 0, tzinfo=steps.SHANGHAI)
    assert steps.night_of(at, at, None) == dt.date(2024, 8, 15)
    assert steps.night_of(None, at.astimezone(dt.UTC), None) == dt.date(2024, 8, 15)
    assert steps.night_of(at, at, "2024-08-13") == dt.date(2024, 8, 13)


def test_only_transient_errors_are_left_to_retries() -> None:
    from airflow.sdk.exceptions import AirflowFailException

    def broken() -> None:
        raise ContractError("lot of 210100: column BID_SECTION_CODE is missing")

    def away() -> None:
        raise SourceUnavailable("210100 does not answer")

    with pytest.raises(AirflowFailException, match="BID_SECTION_CODE is missing"):
        steps._call(broken)
    with pytest.raises(SourceUnavailable):
        steps._call(away)


def test_the_pools_of_the_registry_are_those_the_dags_name(dags: dict[str, Any]) -> None:
    pools = json.loads((PROJECT_ROOT / "include" / "registry" / "pools.json").read_text(encoding="utf-8"))

    named = {task.pool for dag in dags.values() for task in dag.tasks} - {"default_pool"}
    assert named == set(pools)


def test_the_dags_folder_holds_no_logic() -> None:
    for path in Path(DAGS).glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 200, path.name
