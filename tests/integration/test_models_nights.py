"""Supervision and hotline: marts built night by night equal marts built from nothing (invariant I4)."""

import dataclasses
import random
from pathlib import Path

import pytest
from tests.support.dbt_models import Models, copied_project
from tests.support.hotline_nights import Hotline, order_no
from tests.support.raw_log import RawLog
from tests.support.supervision_nights import Supervision, issue_code

SYSTEMS = {
    "supervision": (Supervision, "210321", "fct_issue", "fct_issue_event"),
    "hotline": (Hotline, "210300", "fct_work_order", "fct_callback"),
}


def of_system(models: Models, system: str) -> Models:
    return dataclasses.replace(models, selection=("--select", f"+path:models/marts/{system}"))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("system", list(SYSTEMS))
def test_eight_nights_equal_one_build_in_any_order(system: str, seed: int, raw_log: RawLog, models: Models) -> None:
    """Corrections, reopenings, withdrawals, moved children, late parents; a node is away for three nights."""
    kind, gone, fact, child = SYSTEMS[system]
    models = of_system(models, system)
    nights = kind(raw_log, random.Random(seed), away={gone: range(2, 5)}, most=30, undone=1)
    tonight = nights.pass_night()
    models.build("slot_a", to_seq=raw_log.max_seq(), night=tonight, full=True)
    for number in range(1, 8):
        tonight = nights.pass_night()
        if number == 5:  # a night that is not built: the next takes it in
            continue
        models.build("slot_a", to_seq=raw_log.max_seq(), night=tonight)
        if number in (1, 4, 7):
            models.build("slot_b", to_seq=raw_log.max_seq(), night=tonight, full=True)
            assert models.differences("slot_a", "slot_b") == {}, f"seed {seed}, night {number}"
    assert models.row(f"select count(*) > 5 from slot_a.{fact}") == (True,)
    assert models.row(f"select count(*) > 10, bool_or(is_orphan) from slot_a.{child}") == (True, True)


ISSUE, ORDER = issue_code("210321", 1), order_no("210300", 1)
LATE_CHILDREN = {
    "supervision": (
        ("supervision.issue", "210000", {"issue_code": ISSUE, "node_code": "210321"}),
        (
            "supervision.issue_event",
            "210321",
            {"event_id": f"{ISSUE}-001", "issue_code": ISSUE, "event_type": "accepted"},
        ),
    ),
    "hotline": (
        ("hotline.work_order", "210300", {"order_no": ORDER}),
        ("hotline.callback", "210300", {"callback_id": f"{ORDER}C1", "order_no": ORDER, "is_solved": "1"}),
    ),
}


@pytest.mark.parametrize("system", list(SYSTEMS))
def test_control_without_the_parents_of_touched_children_it_goes_red(
    system: str, raw_log: RawLog, models: Models, tmp_path: Path
) -> None:
    """A build that recomputes touched children only, and not the parents that they name, is noticed."""
    project = copied_project(tmp_path, {"macros/touched/batches.sql": ("where r.key is not null\n", "where false\n")})
    models = dataclasses.replace(of_system(models, system), folder=tmp_path / "dbt", project=project)
    for dataset, node, row in LATE_CHILDREN[system]:
        raw_log.admitted(dataset, node, {**row, "data_timestamp": "20240813120000"})
        models.build("slot_a", to_seq=raw_log.max_seq(), full=dataset == LATE_CHILDREN[system][0][0])
    models.build("slot_b", to_seq=raw_log.max_seq(), full=True)
    assert SYSTEMS[system][2] in models.differences("slot_a", "slot_b")
