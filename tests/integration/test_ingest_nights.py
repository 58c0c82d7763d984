"""Opening and closing nights, and what a person may get wrong."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import Warehouse
from tests.support.ingest import NIGHT, NODE, Fleet, lot, pg_source, run_night
from typer.testing import CliRunner

from localpg import Cluster
from yingshang.cli.app import root_app
from yingshang.errors import RegistryError, UsageError, WarehouseUnavailable
from yingshang.ingest import QuorumNotMet, close_night, ingest_node, night, open_night
from yingshang.warehouse import ledger

PROVINCE, OTHER = "210000", "210200"


@pytest.fixture
def fleet(warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))
    fleet = Fleet(tmp_path / "registry")
    for node in (PROVINCE, NODE, OTHER):
        fleet.add(node, "postgres", "lot")
    return fleet


@pytest.fixture
def two_of_three(warehouse: Warehouse, fleet: Fleet, pg_server: Cluster) -> Iterator[None]:
    """The province and a city answer; another city does not."""
    with (
        pg_source(pg_server, f"one_{warehouse.dbname}", "lot") as one,
        pg_source(pg_server, f"two_{warehouse.dbname}", "lot") as two,
    ):
        one.insert("lot", lot(1, node=PROVINCE))
        two.insert("lot", lot(1, node=NODE))
        warehouse.add_connections(
            {
                f"trading_{PROVINCE}": one.dsn,
                f"trading_{NODE}": two.dsn,
                f"trading_{OTHER}": "postgresql://u:p@127.0.0.1:1/x",
            }
        )
        yield


def test_an_open_night_says_who_has_to_provide_something(warehouse: Warehouse, fleet: Fleet) -> None:
    opened = open_night(NIGHT, "run-1")
    assert opened.nodes == {"trading": {"province": (PROVINCE,), "city": (NODE, OTHER)}}
    assert opened.cut_off_at is None, "the cut-off of a past night has passed"
    assert open_night(NIGHT, "run-1") == opened
    with warehouse.connect("ingest") as connection:
        run = ledger.night_run(connection, "run-1")
    assert run is not None
    assert (run.night, run.closed_at) == (NIGHT, None)


def test_the_night_that_has_just_ended_has_a_cut_off(
    warehouse: Warehouse, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> "Clock":
            return cls(2024, 8, 14, 1, 0, tzinfo=night.SHANGHAI)

    monkeypatch.setattr(night, "datetime", Clock)
    opened = open_night(NIGHT, "run-1")
    assert opened.cut_off_at == dt.datetime(2024, 8, 14, 5, tzinfo=night.SHANGHAI)
    with pytest.raises(UsageError, match="the night 2024-08-14 has not ended"):
        open_night(NIGHT + dt.timedelta(days=1), "run-2")


def test_a_night_in_the_future_is_refused(warehouse: Warehouse, fleet: Fleet) -> None:
    with pytest.raises(UsageError, match="the night 2099-01-01 has not ended"):
        open_night(dt.date(2099, 1, 1), "run-1")
    with warehouse.connect("ingest") as connection:
        assert ledger.night_run(connection, "run-1") is None


def test_a_run_belongs_to_one_night(warehouse: Warehouse, fleet: Fleet) -> None:
    open_night(NIGHT, "run-1")
    with pytest.raises(UsageError, match="run-1 is one of the night 2024-08-13"):
        open_night(NIGHT - dt.timedelta(days=1), "run-1")


def test_unknown_nodes_systems_and_runs_are_named(warehouse: Warehouse, fleet: Fleet) -> None:
    open_night(NIGHT, "run-1")
    with pytest.raises(RegistryError, match="999999"):
        ingest_node("trading", "999999", "run-1")
    with pytest.raises(UsageError, match=r"210300 .* provides nothing of trading in the night 2024-08-13"):
        ingest_node("trading", "210300", "run-1")
    with pytest.raises(RegistryError, match="hotline"):
        ingest_node("hotline", NODE, "run-1")
    with pytest.raises(UsageError, match="no run 'run-9'"):
        ingest_node("trading", NODE, "run-9")
    with pytest.raises(UsageError, match="no run 'run-9'"):
        close_night("run-9")


def test_a_provision_of_an_unknown_node_or_dataset_stops_at_once(warehouse: Warehouse, fleet: Fleet) -> None:
    fleet.add("219999", "postgres", "lot")
    with pytest.raises(RegistryError, match=r"provisions.csv:5.*219999"):
        open_night(NIGHT, "run-1")


@pytest.mark.usefixtures("two_of_three")
def test_below_the_quorum_the_night_does_not_close_well(warehouse: Warehouse) -> None:
    open_night(NIGHT, "run-1")
    ingest_node("trading", PROVINCE, "run-1")
    ingest_node("trading", NODE, "run-1")
    with pytest.raises(QuorumNotMet, match=r"night 2024-08-13: trading: 2 of 3 nodes arrived \(67%, needed 80%\)"):
        close_night("run-1")
    with warehouse.connect("ingest") as connection:
        run = ledger.night_run(connection, "run-1")
        matrix = {one.node_code: one.outcome for one in ledger.provision_runs(connection, "run-1")}
    assert matrix == {PROVINCE: "loaded", NODE: "loaded", OTHER: "not_provided"}
    assert run is not None
    assert run.verdict is not None
    assert run.is_quorum_met is False
    assert run.verdict["trading"]["absent"] == {OTHER: {"lot": "not_provided"}}


@pytest.mark.usefixtures("two_of_three")
def test_with_a_quorum_the_missing_are_named_and_nothing_is_raised(warehouse: Warehouse, fleet: Fleet) -> None:
    (fleet.folder / "quorum.csv").write_text("system,required_nodes,min_share\ntrading,210000,0.6\n")
    open_night(NIGHT, "run-1")
    for node in (PROVINCE, NODE):
        ingest_node("trading", node, "run-1")
    with pytest.raises(Exception, match="does not answer"):
        ingest_node("trading", OTHER, "run-1")
    at = dt.datetime(2024, 8, 14, 5, tzinfo=dt.UTC)
    report = close_night("run-1", at)
    assert report.is_quorum_met
    assert report.systems["trading"].absent == {OTHER: {"lot": "failed: SourceUnavailable"}}
    assert close_night("run-1").systems == report.systems, "closing again judges again"
    with warehouse.connect("ingest") as connection:
        run = ledger.night_run(connection, "run-1")
    assert run is not None
    assert run.closed_at == at


@pytest.mark.usefixtures("two_of_three")
def test_a_person_ingests_a_node_by_hand(warehouse: Warehouse) -> None:
    arguments = ["ingest", "--system", "trading", "--night", "2024-08-13", "--node", NODE, "--run-id", "by-hand"]
    result = CliRunner().invoke(root_app(arguments), arguments)
    assert result.exit_code == 0, result.output
    assert "1 rows read, 1 loaded" in result.output
    again = CliRunner().invoke(root_app(arguments), arguments)
    assert "loaded (before)" in again.output


@pytest.mark.usefixtures("two_of_three")
def test_a_node_that_fails_by_hand_is_told_after_the_others_were_read(warehouse: Warehouse) -> None:
    arguments = ["ingest", "--system", "trading", "--night", "2024-08-13"]
    result = CliRunner().invoke(root_app(arguments), arguments)
    assert result.exception is not None
    assert "does not answer" in str(result.exception)
    assert "2 of 3 nodes complete" in result.output


def test_a_warehouse_that_does_not_answer_is_said(
    warehouse: Warehouse, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE_INGEST", "postgresql://yingshang_ingest:secret@127.0.0.1:1/warehouse")
    with pytest.raises(WarehouseUnavailable, match=r"127.0.0.1:1/warehouse does not answer") as said:
        run_night("run-1")
    assert "secret" not in str(said.value)
