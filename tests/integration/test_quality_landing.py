"""The landing gate on a real ledger: bad batches are refused, the others admitted, and nothing twice."""

import datetime as dt
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from tests.support.quality_ledger import NIGHT, add_batch, add_drop, last_events, lot_rows, open_night

from yingshang.errors import UsageError
from yingshang.quality import override, run_landing_gate
from yingshang.settings import settings


def test_a_bad_batch_is_refused_and_the_rest_is_admitted(warehouse):
    with warehouse.connect("ingest") as db:
        run = open_night(db)
        good = add_batch(db, "210200", lot_rows("210200", 30))
        bad = add_batch(db, "210300", lot_rows("210300", 30), cursor_high="20240815120000")
        report = run_landing_gate(run)
        assert report.admitted == (good,)
        assert [one.batch_id for one in report.refused] == [bad]
        message = report.refused[0].messages[0]
        assert "trading.lot of 210300" in message
        assert str(NIGHT) in message
        assert "cursor_ahead_hours" in message
        assert last_events(db) == {good: "admitted"}
        rows = db.execute(
            "select batch_id, severity, message from ops.check_result where not is_success and severity = 'stop'"
        ).fetchall()
        assert rows == [(bad, "stop", message)]
        assert db.execute("select count(*) from ops.check_result where is_success").fetchone()[0] > 20


def test_a_second_call_takes_up_only_what_has_no_event(warehouse):
    with warehouse.connect("ingest") as db:
        run = open_night(db)
        first = add_batch(db, "210200", lot_rows("210200", 3))
        assert run_landing_gate(run).admitted == (first,)
        assert run_landing_gate(run).batches == 0
        second = add_batch(db, "210300", lot_rows("210300", 3))
        assert run_landing_gate(run).admitted == (second,)
        assert db.execute("select count(*) from ops.batch_event").fetchone() == (2,)


def test_a_batch_without_rows_is_admitted(warehouse):
    with warehouse.connect("ingest") as db:
        run = open_night(db)
        empty = add_batch(db, "210200", [])
        assert run_landing_gate(run).admitted == (empty,)


def test_half_of_a_dataset_vanishing_on_a_full_reread_is_stopped(warehouse):
    with warehouse.connect("ingest") as db:
        run = open_night(db)
        add_batch(db, "210200", lot_rows("210200", 100))
        assert not run_landing_gate(run).refused
        again = open_night(db, "run-2")
        half = add_batch(db, "210200", lot_rows("210200", 50), run_id=again)
        report = run_landing_gate(again)
        assert [one.batch_id for one in report.refused] == [half]
        assert "full_reread_ratio is 0.5" in report.refused[0].messages[0]


def test_a_full_reread_of_a_living_source_passes(warehouse):
    with warehouse.connect("ingest") as db:
        run = open_night(db)
        add_batch(db, "210200", lot_rows("210200", 100))
        run_landing_gate(run)
        again = open_night(db, "run-2")
        batch = add_batch(db, "210200", lot_rows("210200", 95), run_id=again)
        report = run_landing_gate(again)
        assert report.admitted == (batch,)
        assert report.warnings == ()


def test_rows_that_raw_does_not_hold_are_found(warehouse):
    with warehouse.connect("ingest") as db:
        run = open_night(db)
        batch = add_batch(db, "210200", lot_rows("210200", 5), raw_rows=6)
        report = run_landing_gate(run)
        assert [one.batch_id for one in report.refused] == [batch]
        assert "uncounted_rows is 1" in report.refused[0].messages[0]


def test_a_mass_deletion_is_stopped(warehouse):
    with warehouse.connect("ingest") as db:
        run = open_night(db)
        add_batch(db, "210200", lot_rows("210200", 100))
        run_landing_gate(run)
        again = open_night(db, "run-2", NIGHT + dt.timedelta(1))
        add_batch(
            db, "210200", lot_rows("210200", 60, stamp="20240814120000", is_delete="1"), run_id=again,
            night=NIGHT + dt.timedelta(1), cursor_low="20240813100000", cursor_high="20240814120000",
            source_clock="20240815010000",
        )  # fmt: skip
        report = run_landing_gate(again)
        assert "deleted_share_of_known is 0.6" in report.refused[0].messages[0]


def test_a_flood_is_stopped_and_usual_nights_are_not(warehouse):
    with warehouse.connect("ingest") as db:
        run = open_night(db)
        add_batch(db, "210200", lot_rows("210200", 100))
        assert not run_landing_gate(run).refused
        low = "20240813120000"
        for day in range(1, 5):
            night = NIGHT + dt.timedelta(day)
            run = open_night(db, f"run-{day + 1}", night)
            high = f"{night:%Y%m%d}120000"
            clock = f"{night + dt.timedelta(1):%Y%m%d}010000"
            rows = lot_rows("210200", 5 if day < 4 else 1100, stamp=high)
            add_batch(db, "210200", rows, run_id=run, night=night, cursor_low=low, cursor_high=high, source_clock=clock)
            report = run_landing_gate(run)
            low = high
            if day < 4:
                assert not report.refused
                assert report.warnings == ()
        assert "flood_ratio is 220" in report.refused[0].messages[0]


def test_columns_that_were_lost_on_the_way_are_stopped(warehouse):
    with warehouse.connect("ingest") as db:
        run = open_night(db)
        add_batch(db, "210200", lot_rows("210200", 30))
        assert not run_landing_gate(run).refused
        again = open_night(db, "run-2", NIGHT + dt.timedelta(1))
        rows = lot_rows("210200", 30, stamp="20240814120000", region_code=None, contract_reckon_price=None)
        bounds = {"cursor_low": "20240813100000", "cursor_high": "20240814120000", "source_clock": "20240815010000"}
        add_batch(db, "210200", rows, run_id=again, night=NIGHT + dt.timedelta(1), **bounds)
        report = run_landing_gate(again)
        assert "lost_columns is CONTRACT_RECKON_PRICE, REGION_CODE" in report.refused[0].messages[0]


def test_a_warning_stops_nothing(warehouse):
    with warehouse.connect("ingest") as db:
        run = open_night(db)
        batch = add_batch(
            db,
            "210200",
            lot_rows("210200", 30, unified_deal_code=None, currency_code="840"),
            drift={"added": ["NEW_FIELD"]},
        )
        report = run_landing_gate(run)
        assert report.admitted == (batch,)
        text = "\n".join(report.warnings)
        assert "null_share_unified_deal_code is 1" in text
        assert "unknown_share_currency_code is 1" in text
        assert "NEW_FIELD" in text
        assert db.execute(
            "select count(*) from ops.check_result where not is_success and severity = 'warn' and batch_id = %s",
            (batch,),
        ).fetchone() == (len(report.warnings),)


def test_a_resent_drop_supersedes_the_earlier_one(warehouse):
    with warehouse.connect("ingest") as db:
        run = open_night(db)
        first = add_drop(db, "210211", lot_rows("210211", 30), "20240813")
        assert run_landing_gate(run).admitted == (first,)
        again = open_night(db, "run-2")
        second = add_drop(db, "210211", lot_rows("210211", 31), "20240813", run_id=again, drop_revision=2)
        report = run_landing_gate(again)
        assert (report.admitted, report.superseded) == ((second,), (first,))
        assert last_events(db) == {first: "superseded", second: "admitted"}


def test_a_resent_drop_that_lost_its_rows_does_not_hide_the_earlier_one(warehouse):
    with warehouse.connect("ingest") as db:
        run = open_night(db)
        first = add_drop(db, "210211", lot_rows("210211", 40), "20240813")
        run_landing_gate(run)
        again = open_night(db, "run-2")
        second = add_drop(db, "210211", lot_rows("210211", 4), "20240813", run_id=again, drop_revision=2)
        report = run_landing_gate(again)
        assert [one.batch_id for one in report.refused] == [second]
        assert last_events(db) == {first: "admitted"}


def test_of_two_files_of_one_period_in_one_night_the_newest_stays(warehouse):
    with warehouse.connect("ingest") as db:
        run = open_night(db)
        newer = add_drop(db, "210211", lot_rows("210211", 3), "20240813", drop_revision=2)
        older = add_drop(db, "210211", lot_rows("210211", 3), "20240813", drop_revision=1)
        other = add_drop(db, "210211", lot_rows("210211", 3), "20240812")
        run_landing_gate(run)
        assert last_events(db) == {newer: "admitted", older: "superseded", other: "admitted"}


def test_accept_admits_a_refused_batch_and_reject_withdraws_an_admitted_one(warehouse):
    with warehouse.connect("ingest") as db:
        run = open_night(db)
        good = add_batch(db, "210200", lot_rows("210200", 3))
        bad = add_batch(db, "210300", lot_rows("210300", 3), cursor_high="20240815120000")
        run_landing_gate(run)
        assert override(bad, "accept", reason="the clock was wrong", actor="li").event == "admitted"
        assert override(good, "reject", reason="test data", actor="li").event == "withdrawn"
        assert last_events(db) == {good: "withdrawn", bad: "admitted"}
        rows = db.execute("select reason, actor from ops.batch_event where actor = 'li' order by seq").fetchall()
        assert rows == [("the clock was wrong", "li"), ("test data", "li")]
        assert run_landing_gate(run).batches == 0
        with pytest.raises(UsageError, match="already admitted"):
            override(bad, "accept", reason="again")
        with pytest.raises(UsageError, match="reason"):
            override(bad, "reject", reason=" ")
        with pytest.raises(UsageError, match="no batch 999"):
            override(999, "accept", reason="x")


def test_accepting_an_older_drop_brings_it_back_and_rejecting_names_the_hidden_one(warehouse):
    with warehouse.connect("ingest") as db:
        run = open_night(db)
        first = add_drop(db, "210211", lot_rows("210211", 30), "20240813")
        second = add_drop(db, "210211", lot_rows("210211", 30), "20240813", drop_revision=2)
        run_landing_gate(run)
        assert override(first, "accept", reason="revision 2 was sent by mistake").superseded == (second,)
        assert last_events(db) == {first: "admitted", second: "superseded"}
        assert f"batch {second}" in (override(first, "reject", reason="it was not").hint or "")


def test_a_word_on_a_drop_holds_for_the_same_file_read_again(warehouse):
    with warehouse.connect("ingest") as db:
        open_night(db)
        first = add_drop(db, "210211", lot_rows("210211", 3), "20240812", drop_sha256="same")
        open_night(db, "run-2")
        again = add_drop(db, "210211", lot_rows("210211", 3), "20240812", drop_sha256="same", run_id="run-2")
        override(first, "reject", reason="a test file")
        assert last_events(db) == {first: "withdrawn", again: "withdrawn"}
        assert override(again, "accept", reason="it was none").superseded == ()
        assert last_events(db) == {first: "withdrawn", again: "admitted"}


def test_an_unknown_run_is_named(warehouse):
    with pytest.raises(UsageError, match="'nope'"):
        run_landing_gate("nope")


def test_a_rule_that_cannot_be_evaluated_admits_nothing(warehouse, monkeypatch, tmp_path):
    home = tmp_path / "home"
    (home / "expectations" / "landing").mkdir(parents=True)
    (home / "include").symlink_to(settings().home / "include")
    (home / "dbt_project").symlink_to(settings().home / "dbt_project")
    (home / "expectations" / "landing" / "lot.py").write_text(
        textwrap.dedent("""
        import great_expectations.expectations as gxe
        from yingshang.quality.marks import stop
        def expectations(contract):
            return [gxe.ExpectColumnValuesToBeBetween(column="misspelt", max_value=1, **stop("a typing error"))]
        """)
    )
    with warehouse.connect("ingest") as db:
        run = open_night(db)
        batch = add_batch(db, "210200", lot_rows("210200", 3))
        monkeypatch.setenv("YINGSHANG_HOME", str(home))
        report = run_landing_gate(run)
        assert [one.batch_id for one in report.refused] == [batch]
        assert "could not be evaluated" in report.refused[0].messages[0]
        assert last_events(db) == {}


def test_nothing_talks_to_a_network(warehouse, monkeypatch):
    port = int(warehouse.dsn.rsplit("@", 1)[1].split(":")[1].split("/")[0])
    connect, lookup = socket.socket.connect, socket.getaddrinfo

    def only_the_warehouse(self, address):
        assert address[1] == port, address
        return connect(self, address)

    def only_local_names(host, *args, **kwargs):
        assert host in ("127.0.0.1", "localhost"), host
        return lookup(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", only_the_warehouse)
    monkeypatch.setattr(socket, "getaddrinfo", only_local_names)
    with warehouse.connect("ingest") as db:
        run = open_night(db)
        add_batch(db, "210200", lot_rows("210200", 3))
        assert run_landing_gate(run).docs


def test_data_docs_name_batches_and_no_row(warehouse):
    with warehouse.connect("ingest") as db:
        run = open_night(db)
        add_batch(db, "210200", lot_rows("210200", 30, bid_section_name="SECRETNAME", unified_deal_code=None))
        bad = add_batch(db, "210300", lot_rows("210300", 30), cursor_high="20240815120000")
        report = run_landing_gate(run)
    page = Path(report.docs)
    assert page.is_file()
    pages = {path: path.read_text(encoding="utf-8") for path in page.parent.rglob("*.html")}
    assert any(str(bad) in text and "cursor_ahead_hours" in text for text in pages.values())
    index = (settings().data_docs / "index.html").read_text(encoding="utf-8")
    assert "210300" in index
    assert page.parent.name in index
    everything = "\n".join([*pages.values(), index])
    for word in ("SECRETNAME", "yingshang_ingest", "postgresql://"):
        assert word not in everything


def test_sites_share_their_assets(warehouse):
    with warehouse.connect("ingest") as db:
        run = open_night(db)
        folders = []
        for node in ("210200", "210300"):
            add_batch(db, node, lot_rows(node, 3))
            folders.append(Path(run_landing_gate(run).docs).parent)
    fonts = [next((folder / "static").rglob("*.otf")) for folder in folders]
    assert fonts[0].samefile(fonts[1])


def test_a_gate_that_is_killed_leaves_nothing_half_done(warehouse):
    with warehouse.connect("ingest") as db:
        run = open_night(db)
        batches = [add_batch(db, node, lot_rows(node, 3)) for node in ("210200", "210300")]
        script = f"""
            import os, signal
            from yingshang.quality import landing
            real = landing.ledger.admit
            def admit(*args, **kwargs):
                events = real(*args, **kwargs)
                print("events written", flush=True)
                signal.pause()
            landing.ledger.admit = admit
            landing.run_landing_gate({run!r})
        """
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True, env=os.environ.copy()
        )
        assert child.stdout.readline().strip() == "events written"
        child.send_signal(signal.SIGKILL)
        child.wait(30)
        deadline = time.monotonic() + 20
        while (
            time.monotonic() < deadline and db.execute("select 1 from pg_locks where locktype = 'advisory'").fetchone()
        ):
            time.sleep(0.1)
        assert last_events(db) == {}
        assert db.execute("select count(*) from ops.check_result").fetchone() == (0,)
        db.commit()
        assert sorted(run_landing_gate(run).admitted) == batches
