"""`yingshang gate` and `yingshang status` on a real ledger."""

import json

import pytest
from tests.support.quality_ledger import NIGHT, add_batch, last_events, lot_rows, open_night

from yingshang.cli.app import main
from yingshang.quality.status import status
from yingshang.warehouse import ledger


def cli(capsys, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.fixture
def night(warehouse):
    """One good batch, one bad, one node with nothing to send and one that failed."""
    with warehouse.connect("ingest") as db:
        run = open_night(db)
        good = add_batch(db, "210200", lot_rows("210200", 3))
        bad = add_batch(db, "210300", lot_rows("210300", 3), cursor_high="20240815120000")
        for node, outcome in (("210200", "loaded"), ("210300", "loaded"), ("210500", "nothing_to_send")):
            ledger.record_provision(db, run, "trading", "lot", node, outcome)
        ledger.record_provision(db, run, "trading", "lot", "210600", "failed", error=TimeoutError("no answer"))
        db.commit()
        yield db, good, bad


def test_gate_judges_the_newest_run_and_a_person_overrules_it(night, capsys):
    db, good, bad = night
    code, out, _ = cli(capsys, "gate")
    assert code == 0
    assert "1 of 2 batches admitted" in out
    assert f"refused: batch {bad}, trading.lot of 210300" in out
    assert "cursor_ahead_hours" in out
    code, out, _ = cli(capsys, "gate", "accept", str(bad), "--reason", "their clock was wrong")
    assert code == 0
    assert f"batch {bad} (trading.lot of 210300): admitted" in out
    code, _, _ = cli(capsys, "gate", "reject", str(good), "--reason", "test data")
    assert code == 0
    assert last_events(db) == {good: "withdrawn", bad: "admitted"}


def test_wrong_use_of_gate_is_one_clear_line(night, capsys):
    _, good, _ = night
    assert cli(capsys, "gate", "accept", str(good))[0] == 2
    code, _, err = cli(capsys, "gate", "accept", "4711", "--reason", "x")
    assert (code, err.strip()) == (2, "error: no batch 4711 in the ledger: see `yingshang status`")
    code, _, err = cli(capsys, "gate", "--night", "2024-13-01")
    assert code == 2
    assert "'--night': '2024-13-01' is not a date: write yyyy-mm-dd" in err
    code, _, err = cli(capsys, "gate", "--night", "2020-01-01")
    assert code == 2
    assert "no run of night 2020-01-01" in err


def test_status_tells_nights_ages_and_what_waits(night, capsys):
    _, _, bad = night
    cli(capsys, "gate")
    found = status()
    (run,) = found.nights
    assert (run.night, run.batches, run.admitted, run.waiting, run.raw_rows) == (NIGHT, 2, 1, 1, 6)
    assert (run.loaded, run.nothing_to_send, run.failed, run.stops) == (2, 1, 1, 1)
    by_node = {one.node_code: one for one in found.provisions if one.dataset == "lot"}
    assert by_node["210200"].is_current
    assert by_node["210200"].rows == 3
    assert by_node["210300"].nights_behind is None
    assert by_node["210500"].is_current
    assert (by_node["210600"].outcome, by_node["210600"].error) == ("failed", "no answer")
    assert len(found.provisions) == 805 + 232 + 32 + 31  # of four systems
    assert [one.batch_id for one in found.waiting] == [bad]
    assert "cursor_ahead_hours" in found.waiting[0].refusals[0]
    assert found.live is None

    code, out, _ = cli(capsys, "status")
    assert code == 0
    assert "published: nothing yet (尚未发布): the first night has not ended. `yingshang night` runs one" in out
    assert f"{bad}: trading.lot of 210300" in out
    code, out, _ = cli(capsys, "status", "--json")
    content = json.loads(out)
    assert content["newest_night"] == "2024-08-13"
    assert content["nights"][0]["admitted"] == 1
    assert len(content["provisions"]) == 805 + 232 + 32 + 31  # of four systems


def test_a_refused_window_that_was_read_again_needs_no_word(night, capsys):
    db, _, bad = night
    cli(capsys, "gate")
    ledger.open_night(db, "run-2", NIGHT)
    again = add_batch(db, "210300", lot_rows("210300", 3), run_id="run-2", cursor_high="20240816010000")
    ledger.admit(db, [again], reason="test", actor="test")
    db.commit()
    assert [(one.batch_id, one.read_again_by) for one in status().waiting] == [(bad, again)]
    assert f"{bad}: trading.lot" not in cli(capsys, "status")[1]


def test_status_counts_the_nights_behind(night, warehouse):
    db, _, _ = night
    ledger.open_night(db, "run-4", NIGHT.replace(day=16))
    add_batch(db, "210200", lot_rows("210200", 3), run_id="run-4", night=NIGHT.replace(day=16))
    batches = [one.batch_id for run in ("run-1", "run-4") for one in ledger.batches_of_run(db, run)]
    ledger.admit(db, batches, reason="test", actor="test")
    db.commit()
    by_node = {one.node_code: one for one in status().provisions if one.dataset == "lot"}
    assert by_node["210200"].nights_behind == 0
    assert by_node["210300"].nights_behind == 3


def test_status_names_the_live_publication_and_what_is_missing_from_it(night, warehouse, capsys):
    with warehouse.connect("publish") as db:
        db.execute(
            "insert into ops.build (schema_name, slot, kind, from_seq, to_seq, night) values"
            " ('slot_a', 'slot_a', 'full', 0, 1, '2024-08-13')"
        )
        db.execute(
            "insert into ops.publication (kind, build_id, slot, night, to_seq, missing_nodes)"
            """ values ('publish', 1, 'slot_a', '2024-08-13', 1, '{"trading": ["210300"]}')"""
        )
        db.execute("insert into ops.live (slot, build_id, publication_id) values ('slot_a', 1, 1)")
    code, out, _ = cli(capsys, "status")
    assert code == 0
    assert "published: night 2024-08-13 (publish 1, build 1 in slot_a)" in out
    assert "missing from it in trading: 210300" in out
