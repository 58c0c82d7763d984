"""The whole fleet: four systems, 22 datasets, 1,100 provisions in one night."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Warehouse
from tests.support.checker import assert_nothing_lost, assert_reads_equal_books
from tests.support.quality_ledger import DEAL_CODE, add_batch, open_night
from tests.support.whole_fleet import (
    faults_in_books,
    faults_in_quarantine,
    keys_in_books,
    keys_in_raw,
    read_night,
)

from demo.registry import write_registry
from simulator import Province
from yingshang.contracts import Contract, load_contracts
from yingshang.contracts.registry import load_registry
from yingshang.quality import run_landing_gate
from yingshang.quality.suites import landing_suites

CODES = {"string": "1", "time": "20240801", "integer": 1, "decimal": 1}


def rows_of(contract: Contract, node: str, number: int) -> list[dict[str, Any]]:
    """Rows as raw holds them: what the contract lists is listed, the rest is anything."""

    def value(name: str, row: int) -> Any:
        column = contract.column(name)
        if name == contract.cursor:
            return "20240813120000"
        if name.startswith("UNIFIED_DEAL_CODE"):
            return DEAL_CODE
        if name in contract.primary_key and column.kind == "string":
            return f"{node}{row:08d}"
        codes = column.allowed or column.known
        return codes[0] if codes else CODES["integer" if column.is_free_text else column.kind]

    return [
        {contract.column(name).raw_name: value(name, row) for name in contract.column_names} for row in range(number)
    ]


@pytest.mark.timeout(600)
def test_the_landing_gate_judges_1100_batches_of_four_systems_in_one_go(warehouse: Warehouse) -> None:
    contracts, registry = load_contracts(), load_registry()
    ahead, gone = ("hotline.callback", "210300"), ("trading.lot", "210000")
    unlisted, strange = ("supervision.issue_event", "210102"), ("hotline.work_order", "210300")
    with warehouse.connect("ingest") as connection:
        run = open_night(connection)
        refused: dict[int, tuple[str, str]] = {}
        for one in registry.provisions:
            rows = rows_of(contracts[one.name], one.node_code, 25)
            of, values = (one.name, one.node_code), {}
            if of == ahead:
                values = {"cursor_high": "20240815120000"}
            elif of == unlisted:
                rows[0]["event_type"] = "finished"
            elif of == strange:
                rows = [row | {"status_name": "挂起", "class_code": "9901"} for row in rows]
            elif of == gone:
                values = {"raw_rows": 26}
            batch_id = add_batch(connection, one.node_code, rows, dataset=one.name, **values)
            if of in (ahead, unlisted, gone):
                refused[batch_id] = of
        report = run_landing_gate(run)
        judged = connection.execute(
            "select count(distinct suite), count(distinct (suite, expectation, severity)) from ops.check_result"
        ).fetchone()
    assert {one.batch_id: (one.dataset, one.node_code) for one in report.refused} == refused
    assert len(report.admitted) == 1097
    for one in report.refused:
        assert all(f"{one.dataset} of {one.node_code}" in message for message in one.messages)
    assert len(report.warnings) == 2, "unknown codes are kept, and named"
    for column, message in zip(("class_code", "status_name"), sorted(report.warnings), strict=True):
        assert "hotline.work_order of 210300" in message
        assert f"unknown_share_{column}" in message
    assert judged == (22, report.checks)
    rules = sum(len(expectations) for expectations in landing_suites(contracts).values())
    assert report.checks == rules


@pytest.fixture
def province(tmp_path: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[Province]:
    running = Province(tmp_path / "province", seed=7, profile="tiny")
    try:
        running.start()
        monkeypatch.setenv("YINGSHANG_REGISTRY", str(write_registry(tmp_path / "registry", running)))
        warehouse.add_connections(running.connections())
        yield running
    finally:
        running.destroy()


@pytest.mark.timeout(900)
def test_nights_of_all_systems_equal_the_books(warehouse: Warehouse, province: Province) -> None:
    registry = load_registry()
    truth = province.state / "truth"
    for number in range(3):
        night = province.advance() if number else province.night
        closed, gated = read_night(night, f"run-{number}")
        assert set(closed.systems) == set(registry.systems)
        assert all(verdict.share == 1 for verdict in closed.systems.values()), closed.systems
        assert gated.refused == ()
        with warehouse.connect("owner") as owner:
            assert_nothing_lost(owner)
            if number == 0:
                assert_reads_equal_books(owner, "run-0", truth / f"{night}_reads.csv")
                faults = faults_in_books(truth / f"{night}_bad.csv")
                assert faults_in_quarantine(owner, "run-0") == faults
                assert {fault[0] for fault in faults} == set(registry.systems)
            assert keys_in_raw(owner) == keys_in_books(truth / f"{night}.csv"), night
