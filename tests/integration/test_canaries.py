"""A person's data arrive as tokens, or encrypted in quarantine, and stand in clear in nothing that a night leaves."""

import datetime as dt
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.conftest import Warehouse
from tests.support.canaries import (
    Needles,
    arrived_as_tokens,
    decrypted_with_canary,
    leaks_in_database,
    leaks_in_files,
    planted_in_books,
    secret_words,
)
from tests.support.whole_fleet import read_night

from demo.registry import write_registry
from localpg import Cluster
from simulator import Province
from simulator.canaries import MARKERS, NAME, PERSONAL
from yingshang import secrets
from yingshang.ingest.retention import count_expired, remove_expired

NEEDLES = Needles(MARKERS)


@dataclass(frozen=True)
class Landed:
    """What a night of a province with canaries has left."""

    warehouse: Warehouse
    province: Province
    said: str


@pytest.fixture
def landed(
    warehouse: Warehouse,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Landed]:
    """All nodes of all systems of the tiny province, up to the landing gate."""
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))
    with Province(tmp_path / "province", profile="tiny", has_canaries=True) as province:
        write_registry(tmp_path / "registry", province)
        warehouse.add_connections(province.connections())
        read_night(province.night, "first")
        captured = capfd.readouterr()
        yield Landed(warehouse, province, caplog.text + captured.out + captured.err)


def test_a_persons_data_arrive_hidden_and_stand_nowhere_in_clear(landed: Landed, pg_server: Cluster) -> None:
    state, keys = landed.warehouse.state, secrets.keys()
    planted = planted_in_books(landed.province)
    assert all(good and (bad or name == "hotline.expert") for (name, _), (good, bad) in planted.items()), planted
    with landed.warehouse.admin() as admin:
        arrived = arrived_as_tokens(admin, landed.province, keys)
        assert (
            len(arrived) == sum(len(columns) for columns in PERSONAL.values()) - 1
        )  # of a text only the length goes on
        assert all(arrived.values()), arrived
        hidden = decrypted_with_canary(admin, keys)
        for (name, _), (_, bad) in planted.items():
            assert hidden.get(name) or not bad, name
        assert leaks_in_database(admin, NEEDLES) == []
        secret = Needles(secret_words(state / "secrets"))
        assert leaks_in_database(admin, secret) == []
        assert leaks_in_files([state, pg_server.log.parent], NEEDLES, apart=[pg_server.data]) == []
        assert leaks_in_files([state], secret, apart=[state / "secrets"]) == []
        assert NEEDLES.within(landed.said.encode()) == set()
        assert secret.within(landed.said.encode()) == set()

        _every_leak_is_seen(landed.warehouse, admin)
        _expired_rows_go_and_others_stay(landed.warehouse, admin)


def _every_leak_is_seen(warehouse: Warehouse, admin) -> None:  # type: ignore[no-untyped-def]
    """The search itself: one row, one log line, one XCom too many is found."""
    with admin.transaction(force_rollback=True):
        admin.execute(
            "insert into ops.provision_run (run_id, system, dataset, node_code, outcome, error)"
            " values ('first', 'hotline', 'x', '210100', 'failed', %s)",
            (f"value too long: {NAME}",),
        )
        admin.execute("update raw.trading__bid set pm_code = '210102190002310007' where pm_code like 'k1:%%'")
        found = leaks_in_database(admin, NEEDLES)
        assert any(one == f"ops.provision_run.error: {NAME}" for one in found), found
        assert any(one.startswith("raw.trading__bid.pm_code") for one in found), found
    log = warehouse.state / "task.log"
    log.write_text(f"ERROR {NAME}", encoding="utf-8")
    assert leaks_in_files([warehouse.state], NEEDLES) == [f"task.log: {NAME}"]


def _expired_rows_go_and_others_stay(warehouse: Warehouse, admin) -> None:  # type: ignore[no-untyped-def]
    total, days = admin.execute(
        "select count(*), array_agg(distinct (expires_at - quarantined_at)::interval(0)) from quarantine.row"
    ).fetchone()
    assert days == [dt.timedelta(days=90)]
    admin.execute(
        "update quarantine.row set expires_at = now()"
        " where quarantine_id in (select quarantine_id from quarantine.row limit 3)"
    )
    with warehouse.connect("ingest", autocommit=True) as connection:
        assert count_expired(connection) == 3
        assert remove_expired(connection) == 3
        assert connection.execute("select count(*) from quarantine.row").fetchone() == (total - 3,)
