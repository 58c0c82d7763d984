"""Quarantined rows are loaded after all once the contract or the source is mended: each once, linked to their batch."""

import datetime as dt
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import Warehouse
from tests.support.checker import assert_nothing_lost
from tests.support.ingest import (
    NIGHT,
    NODE,
    Fleet,
    PgSource,
    bid,
    csv_of,
    lot,
    pg_source,
    run_night,
    work_order,
    write_drop,
)

from localpg import Cluster
from yingshang import secrets
from yingshang.cli import main
from yingshang.errors import CredentialError, UsageError
from yingshang.ingest.replay import Selection, replay
from yingshang.maintenance import remove_orphans
from yingshang.quality import override, run_landing_gate
from yingshang.settings import PROJECT_ROOT, settings
from yingshang.warehouse import ledger
from yingshang.warehouse.ledger import Batch

NEXT = NIGHT + dt.timedelta(days=1)


@pytest.fixture
def source(
    warehouse: Warehouse, pg_server: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PgSource]:
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))
    Fleet(tmp_path / "registry").add(NODE, "postgres", "lot", "bid", "hotline.work_order")
    with pg_source(pg_server, f"exchange_{warehouse.dbname}", "lot", "bid", "hotline.work_order") as found:
        warehouse.add_connections({f"trading_{NODE}": found.dsn, f"hotline_{NODE}": found.dsn})
        yield found


@pytest.fixture
def contracts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The contracts in a folder of their own, to be mended."""
    home = tmp_path / "home"
    (home / "include").mkdir(parents=True)
    for name in ("expectations", "dbt_project", "docs", "include/registry"):
        (home / name).symlink_to(PROJECT_ROOT / name)
    shutil.copytree(PROJECT_ROOT / "include" / "contracts", home / "include" / "contracts")
    monkeypatch.setenv("YINGSHANG_HOME", str(home))
    return home / "include" / "contracts"


def mend(contracts: Path, name: str, old: str, new: str) -> None:
    file = contracts / name
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def a_night(run_id: str, night: dt.date = NIGHT, system: str = "trading") -> None:
    run_night(run_id, night=night, system=system)
    run_landing_gate(run_id)


def replayed(**options: object) -> list[tuple[int, int, int]]:
    """Passed, still failing and expired rows of each batch."""
    report = replay(Selection(system="trading", dataset="lot"), **options)  # type: ignore[arg-type]
    return [(one.passed, one.failing, one.expired) for one in report.batches]


def visible(warehouse: Warehouse, dataset: str = "lot") -> list[Batch]:
    with warehouse.connect("ingest") as connection:
        return [one for one in ledger.visible_batches(connection) if one.dataset == dataset]


def judge() -> None:
    for run_id in replay(Selection(system="trading"), dry_run=True).runs:
        run_landing_gate(run_id)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return int(caught.value.code or 0)


UNITS = ("validValues: ['0', '1']", "validValues: ['0', '1', '9']")


def test_rows_that_keep_the_mended_contract_are_loaded_once_and_the_others_stay(
    warehouse: Warehouse, source: PgSource, contracts: Path
) -> None:
    source.insert("lot", lot(1), lot(2, PRICE_UNIT="9"), lot(3, PRICE_UNIT="9"), lot(4, CREATE_TIME="20240230"))
    a_night("run-1")
    assert replayed(dry_run=True) == [(0, 3, 0)]
    mend(contracts, "trading/lot.yaml", *UNITS)
    assert replayed(dry_run=True) == [(2, 1, 0)]
    assert len(visible(warehouse)) == 1, "a dry run loads nothing"
    assert replayed() == [(2, 1, 0)]
    assert len(visible(warehouse)) == 1, "loading admits nothing"
    judge()
    first, second = visible(warehouse)
    assert (second.kind, second.replay_of, second.night, second.source_rows, second.raw_rows) == (
        "replay", first.batch_id, NIGHT, 2, 2,
    )  # fmt: skip
    assert second.landing_uri is not None
    assert replayed() == [(0, 1, 0)], "nothing is loaded twice"
    assert len(visible(warehouse)) == 2
    with warehouse.admin() as admin:
        rows = admin.execute("select _batch_id, _row, price_unit from raw.trading__lot order by 1, 2").fetchall()
        marks = admin.execute("select row_number, replayed_in from quarantine.row order by 1").fetchall()
        assert_nothing_lost(admin)
    bad = sorted(number for number, _ in marks)
    assert [row[1] for row in rows if row[0] == second.batch_id] == [n for n, into in marks if into == second.batch_id]
    assert len(bad) == 3
    assert sum(into is None for _, into in marks) == 1


def test_tokens_and_lengths_of_replayed_rows_are_those_of_an_ordinary_load(
    warehouse: Warehouse, source: PgSource, contracts: Path
) -> None:
    source.insert("bid", bid(7), bid(7, BIDDER_NAME="另一公司", PRICE_UNIT="9"))
    source.insert("hotline.work_order", work_order(1, CONTENT="漏水三天"))
    length = ("maxLength: 20000", "maxLength: 2")
    mend(contracts, "hotline/work_order.yaml", *length)
    a_night("run-1")
    a_night("run-2", system="hotline")
    mend(contracts, "trading/bid.yaml", *UNITS)
    mend(contracts, "hotline/work_order.yaml", *reversed(length))
    for one in (Selection(dataset="bid"), Selection(dataset="work_order")):
        (report,) = replay(one).batches
        assert (report.passed, report.failing) == (1, 0)
    with warehouse.admin() as admin:
        people = admin.execute("select distinct pm_code from raw.trading__bid").fetchall()
        words = admin.execute("select content_length, caller_name from raw.hotline__work_order").fetchall()
    assert len(people) == 1
    assert people[0][0].startswith("k1:")
    assert words[0][0] == 4
    assert words[0][1].startswith("k1:")


def test_a_mended_clock_lets_rows_pass_that_were_ahead_of_it(warehouse: Warehouse, source: PgSource) -> None:
    source.set_clock("20240812000500")
    source.insert("lot", lot(1, stamp="20240812000000"), lot(2, stamp="20240813100000"))
    a_night("run-1")
    assert replayed() == [(0, 1, 0)]
    source.set_clock("20240815000500")
    source.insert("lot", lot(3, stamp="20240814100000"))
    a_night("run-2", NEXT)
    assert replayed()[0] == (1, 0, 0)


def test_expired_payloads_are_named_and_not_replayed(warehouse: Warehouse, source: PgSource, contracts: Path) -> None:
    source.insert("lot", lot(1), *(lot(number, PRICE_UNIT="9") for number in (2, 3, 4)))
    a_night("run-1")
    mend(contracts, "trading/lot.yaml", *UNITS)
    with warehouse.admin() as admin:
        numbers = [number for (number,) in admin.execute("select row_number from quarantine.row order by 1")]
        admin.execute("update quarantine.row set expires_at = now() where row_number = %s", (numbers[0],))
        admin.execute("delete from quarantine.row where row_number = %s", (numbers[1],))
    assert replayed() == [(1, 0, 2)]


def test_rows_of_a_batch_that_is_not_admitted_stay_until_it_is(
    warehouse: Warehouse, source: PgSource, contracts: Path
) -> None:
    source.insert("lot", lot(1), lot(2, PRICE_UNIT="9"))
    run_night("run-1")
    mend(contracts, "trading/lot.yaml", *UNITS)
    (left,) = replay(Selection(dataset="lot")).batches
    assert left.skipped is not None
    assert "not judged yet" in left.skipped
    run_landing_gate("run-1")
    assert replayed() == [(1, 0, 0)]
    judge()
    first, second = visible(warehouse)
    override(first.batch_id, "reject", reason="of a test", actor="test")
    assert visible(warehouse) == [], "what was replayed of a batch goes with it"
    override(first.batch_id, "accept", reason="a mistake", actor="test")
    assert replayed() == [(1, 0, 0)], "rows whose replay was taken back can be replayed again"
    judge()
    assert [one.kind for one in visible(warehouse)] == ["window", "replay"]
    assert second.batch_id not in {one.batch_id for one in visible(warehouse)}


def test_what_was_replayed_of_a_drop_goes_when_the_drop_is_sent_again(
    warehouse: Warehouse, contracts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))
    Fleet(tmp_path / "registry").add(NODE, "files", "lot", form="csv-gb18030")
    folder = tmp_path / "outbox"
    warehouse.add_connections({f"trading_{NODE}": folder.as_uri()})
    body = csv_of([lot(1), lot(2, PRICE_UNIT="9")]) + b"half,a,line\r\n"
    write_drop(folder, "BID_SECTION", "20240813", body, 3)
    a_night("run-1")
    mend(contracts, "trading/lot.yaml", *UNITS)
    assert replayed() == [(1, 1, 0)]
    judge()
    assert [one.kind for one in visible(warehouse)] == ["drop", "replay"]
    write_drop(folder, "BID_SECTION", "20240813", csv_of([lot(1), lot(2)]), 2, revision=2)
    a_night("run-2", NEXT)
    assert [(one.kind, one.drop_revision) for one in visible(warehouse)] == [("drop", 2)]
    (left,) = replay(Selection(dataset="lot")).batches
    assert left.skipped is not None
    assert "superseded" in left.skipped


def test_a_key_that_is_gone_is_named(warehouse: Warehouse, source: PgSource) -> None:
    source.insert("lot", lot(1), lot(2, PRICE_UNIT="9"))
    a_night("run-1")
    settings().keys.unlink()
    secrets.init_keys()
    with pytest.raises(CredentialError, match=r"the key 'q1' .* does not open the quarantined rows"):
        replayed()


def test_the_command_replays_judges_and_tells_without_a_value(
    warehouse: Warehouse, source: PgSource, contracts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source.insert("lot", lot(1), lot(2, PRICE_UNIT="9"), lot(3, BID_SECTION_NAME="canary-55", CREATE_TIME="20240230"))
    a_night("run-1")
    mend(contracts, "trading/lot.yaml", *UNITS)
    assert run("replay", "--dataset", "trading.lot", "--node", NODE, "--dry-run") == 0
    assert "nothing was loaded" in capsys.readouterr().out
    assert run("replay", "--dataset", "trading.lot", "--node", NODE, "--night", str(NIGHT)) == 0
    shown = capsys.readouterr().out
    assert "1 of 1 batches admitted" in shown
    assert "still time:CREATE_TIME (1 rows)" in shown
    assert "canary" not in shown
    assert [one.kind for one in visible(warehouse)] == ["window", "replay"]
    assert run("replay") == 2
    assert run("replay", "--batch", "99999") == 2
    with pytest.raises(UsageError):
        replay(Selection(batch_ids=(99999,)))


REPLAY = f"""
from yingshang.ingest.replay import Selection, replay
(report,) = replay(Selection(dataset="lot", node_code="{NODE}")).batches
print(report.passed)
"""
KILL = "import os, signal\nkill = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
MOMENTS = {
    "before the ledger": "from yingshang.warehouse import ledger\nledger.insert_batch = kill\n",
    "while rows are marked": "from yingshang.ingest import replay as r\nr._Marks.copy_into = kill\n",
    "after the commit": "from yingshang.ingest import replay as r\nr._Replay._told = kill\n",
}


def started(before: str = "") -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", before + REPLAY], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_replay_that_is_killed_loads_everything_once_in_the_end(
    warehouse: Warehouse, source: PgSource, contracts: Path, moment: str
) -> None:
    source.insert("lot", lot(1), *(lot(number, PRICE_UNIT="9") for number in range(2, 12)))
    a_night("run-1")
    mend(contracts, "trading/lot.yaml", *UNITS)
    killed = started(KILL + MOMENTS[moment])
    assert killed.wait(120) == -signal.SIGKILL
    is_loaded = moment == "after the commit"
    assert replayed() == [(0 if is_loaded else 10, 0, 0)]
    judge()
    assert [(one.kind, one.raw_rows) for one in visible(warehouse)] == [("window", 1), ("replay", 10)]
    with warehouse.admin() as admin:
        assert admin.execute("select count(*) from raw.trading__lot").fetchone() == (11,)
        assert_nothing_lost(admin)
    landed = list((warehouse.state / "landing").rglob("*.parquet*"))
    for file in landed:
        os.utime(file, (0, 0))
    done = remove_orphans(dry_run=False)
    assert done.done == len(landed) - 2, "what a killed replay has landed is an orphan"


def test_two_replays_at_once_load_everything_once(warehouse: Warehouse, source: PgSource, contracts: Path) -> None:
    source.insert("lot", lot(1), *(lot(number, PRICE_UNIT="9") for number in range(2, 12)))
    a_night("run-1")
    mend(contracts, "trading/lot.yaml", *UNITS)
    both = [started(), started()]
    assert sorted(int(one.communicate(timeout=120)[0]) for one in both) == [0, 10]
    judge()
    assert [(one.kind, one.raw_rows) for one in visible(warehouse)] == [("window", 1), ("replay", 10)]
