"""Nights read again on purpose: what would be read, what is read, and what takes the place of what."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import Warehouse
from tests.support.ingest import NIGHT, NODE, Fleet, PgSource, csv_of, lot, pg_node, run_night, write_drop

from localpg import Cluster
from yingshang.cli import main
from yingshang.errors import ManifestError, UsageError
from yingshang.ingest import Again, ingest_node, open_night
from yingshang.ingest.reload import nights_between, plan_reload
from yingshang.quality import override, run_landing_gate
from yingshang.warehouse import ledger
from yingshang.warehouse.ledger import Batch

NEXT = NIGHT + dt.timedelta(days=1)


@pytest.fixture
def source(
    warehouse: Warehouse, pg_server: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PgSource]:
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))
    with pg_node(warehouse, pg_server, tmp_path / "registry", "lot", "bid") as found:
        yield found


def a_night(run_id: str, night: dt.date = NIGHT) -> None:
    run_night(run_id, night=night)
    run_landing_gate(run_id)


def again(run_id: str, *, replace: bool = False, night: dt.date = NIGHT) -> None:
    open_night(night, run_id)
    ingest_node("trading", NODE, run_id, again=Again(frozenset({"lot"}), replace))


def visible(warehouse: Warehouse) -> list[Batch]:
    with warehouse.connect("ingest") as connection:
        return [one for one in ledger.visible_batches(connection) if one.dataset == "lot"]


def names(warehouse: Warehouse) -> list[str]:
    ids = [one.batch_id for one in visible(warehouse)]
    with warehouse.admin() as admin:
        return [
            name
            for (name,) in admin.execute(
                "select bid_section_name from raw.trading__lot where _batch_id = any(%s) order by 1", (ids,)
            )
        ]


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return int(caught.value.code or 0)


def test_a_dry_run_says_what_would_be_read_and_reads_nothing(
    warehouse: Warehouse, source: PgSource, capsys: pytest.CaptureFixture[str]
) -> None:
    source.insert("lot", lot(1), lot(2))
    a_night("run-1")
    options = ("reload", "--system", "trading", "--night", str(NIGHT), "--dataset", "lot", "--replace", "--dry-run")
    source.execute("drop table bid_section")
    assert run(*options) == 0
    shown = capsys.readouterr().out
    assert "trading.lot" in shown
    assert "20240813100000" in shown
    assert len(visible(warehouse)) == 1
    (planned,) = plan_reload("trading", [NIGHT], datasets=["lot"], is_replacement=True)
    assert (planned.kind, planned.low, planned.high, planned.loaded_rows) == ("reload", None, "20240813100000", 2)
    assert planned.replaces == (visible(warehouse)[0].batch_id,)


def test_a_reload_adds_what_the_source_says_now_and_hides_nothing(warehouse: Warehouse, source: PgSource) -> None:
    source.insert("lot", lot(1, BID_SECTION_NAME="old"))
    a_night("run-1")
    source.execute("update bid_section set bid_section_name = 'mended'")
    again("reload-1")
    run_landing_gate("reload-1")
    assert names(warehouse) == ["mended", "old"]
    assert [one.kind for one in visible(warehouse)] == ["window", "reload"]


def test_a_replacement_supersedes_what_was_read_before_only_once_it_is_admitted(
    warehouse: Warehouse, source: PgSource
) -> None:
    source.insert("lot", lot(1, BID_SECTION_NAME="old", stamp="20240813030000"), lot(3, BID_SECTION_NAME="same"))
    a_night("run-1")
    source.insert("lot", lot(2, BID_SECTION_NAME="later", stamp="20240814100000"))
    source.set_clock("20240815000500")
    a_night("run-2", NEXT)
    source.execute("update bid_section set bid_section_name = 'mended' where bid_section_name = 'old'")
    again("reload-1", replace=True)
    assert set(names(warehouse)) == {"later", "old", "same"}, "loading hides nothing"
    report = run_landing_gate("reload-1")
    assert len(report.admitted) == len(report.superseded) == 1
    assert set(names(warehouse)) == {"later", "mended", "same"}
    again("reload-1", replace=True)
    assert run_landing_gate("reload-1").batches == 0
    with warehouse.connect("ingest") as connection:
        reached = ledger.last_admitted_window(connection, "trading", "lot", NODE)
    assert reached is not None
    assert (reached.cursor_high, reached.has_gap) == ("20240814100000", False), "the replacement holds its place"


def test_a_replacement_that_the_gate_refuses_replaces_nothing_until_a_person_accepts_it(
    warehouse: Warehouse, source: PgSource
) -> None:
    source.insert("lot", *(lot(number) for number in range(1, 41)))
    a_night("run-1")
    source.execute("delete from bid_section where bid_section_code > %s", lot(10)["BID_SECTION_CODE"])
    again("reload-1", replace=True)
    report = run_landing_gate("reload-1")
    assert len(report.refused) == 1
    assert any("replacement" in message for message in report.refused[0].messages)
    assert [one.raw_rows for one in visible(warehouse)] == [40]
    done = override(report.refused[0].batch_id, "accept", reason="the others were a test", actor="test")
    assert len(done.superseded) == 1
    assert [one.raw_rows for one in visible(warehouse)] == [10]


def test_the_command_reads_a_range_of_nights_and_judges_each(
    warehouse: Warehouse, source: PgSource, capsys: pytest.CaptureFixture[str]
) -> None:
    source.insert("lot", lot(1))
    a_night("run-1")
    source.insert("lot", lot(2, stamp="20240814100000"))
    source.set_clock("20240815000500")
    a_night("run-2", NEXT)
    options = (
        "reload",
        "--system",
        "trading",
        "--from",
        str(NIGHT),
        "--to",
        str(NEXT),
        "--replace",
        "--run-id",
        "mine",
    )
    assert run(*options) == 0
    assert capsys.readouterr().out.count("2 superseded") == 2
    assert [(one.night, one.run_id) for one in visible(warehouse)] == [(NIGHT, f"mine:{NIGHT}"), (NEXT, f"mine:{NEXT}")]
    assert run(*options) == 0
    assert len(visible(warehouse)) == 2, "the same reload again reads nothing"


def test_wrong_use_is_named(warehouse: Warehouse, source: PgSource, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("reload", "--system", "trading") == 2
    assert "--night, or --from and --to" in capsys.readouterr().err
    assert run("reload", "--system", "trading", "--night", "2024-02-30") == 2
    for wrong in ({"datasets": ["lots"]}, {"nodes": ["210200"]}):
        with pytest.raises(UsageError):
            plan_reload("trading", [NIGHT], **wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="has not ended"):
        nights_between(NIGHT, dt.date(2999, 1, 1))


def test_drops_of_a_night_are_read_again_and_supersede_themselves(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))
    Fleet(tmp_path / "registry").add(NODE, "files", "lot", form="csv-gb18030")
    folder = tmp_path / "outbox"
    warehouse.add_connections({f"trading_{NODE}": folder.as_uri()})
    write_drop(folder, "BID_SECTION", "20240812", csv_of([lot(1)]), 1)
    gone = write_drop(folder, "BID_SECTION", "20240813", csv_of([lot(2), lot(3)]), 2)
    a_night("run-1")
    write_drop(folder, "BID_SECTION", "20240814", csv_of([lot(4)]), 1)
    a_night("run-2", NEXT)
    before = {one.drop_period: one.batch_id for one in visible(warehouse)}
    (planned,) = plan_reload("trading", [NIGHT])
    assert (planned.kind, planned.drops, planned.loaded_rows) == ("drop", ("20240812", "20240813"), 3)
    again("reload-1")
    report = run_landing_gate("reload-1")
    assert sorted(report.superseded) == [before["20240812"], before["20240813"]]
    assert {one.drop_period: one.raw_rows for one in visible(warehouse)} == {
        "20240812": 1,
        "20240813": 2,
        "20240814": 1,
    }
    again("reload-1")
    assert run_landing_gate("reload-1").batches == 0
    for file in folder.glob(f"{gone.stem}*"):
        file.unlink()
    with pytest.raises(ManifestError, match=r"drops of 20240813 no longer lie there"):
        again("reload-2")
    run_landing_gate("reload-2")
    assert {one.drop_period: one.raw_rows for one in visible(warehouse)} == {
        "20240812": 1,
        "20240813": 2,
        "20240814": 1,
    }
