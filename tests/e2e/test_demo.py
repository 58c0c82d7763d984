"""The whole path as a data engineer meets it: the demo's command, Airflow, the marts."""

import datetime as dt
import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from psycopg import sql
from tests.support.canaries import (
    Needles,
    arrived_as_tokens,
    decrypted_with_canary,
    leaks_in_database,
    leaks_in_files,
    secret_words,
)
from tests.support.checker import assert_marts_equal_books, assert_nothing_lost
from tests.support.demo import Demo, backfill, kill_with_children, wait_for, wait_for_alert, wait_for_run
from tests.support.ocds import package_errors

from simulator.canaries import MARKERS, NAME
from yingshang import secrets
from yingshang.export import export_ocds, export_tables
from yingshang.settings import settings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

MARTS = ("dim_project", "fct_transaction", "fct_transaction_event", "fct_bid", "fct_contract", "rpt_trading_monthly")
COUNT = sql.SQL("select count(*) from {}")
SABOTAGE = """
create function public.lose_a_bid() returns trigger language plpgsql security definer as $$
begin
    if new.state = 'attached' then
        execute format('delete from %I.fct_bid where ctid = (select min(ctid) from %I.fct_bid)', new.slot, new.slot);
    end if;
    return new;
end $$;
create trigger lose_a_bid before update on ops.slot for each row execute function public.lose_a_bid();
"""


def test_the_first_three_nights_end_with_the_truth_in_the_marts(demo: Demo) -> None:
    done = demo.run(3)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "transaction types 38 · industries 10" in done.stdout
    (roles, marts, agreeing), *_ = re.findall(r"probe: (\d+) roles × (\d+) marts, (\d+) of \d+ as the", done.stdout)
    assert int(agreeing) == int(roles) * int(marts) > 0
    for night in ("2024-08-13", "2024-08-14", "2024-08-15"):
        assert night in done.stdout
    with demo.reader() as reader, demo.owner() as owner:
        assert_marts_equal_books(reader, demo.truth("2024-08-15"))
        assert_nothing_lost(owner)


def test_a_second_demo_goes_on_where_the_first_ended(demo: Demo) -> None:
    done = demo.run(1)
    assert done.returncode == 0, done.stdout + done.stderr
    with demo.reader() as reader:
        assert reader.execute("select night::text from marts.publication").fetchone() == ("2024-08-16",)
        assert_marts_equal_books(reader, demo.truth("2024-08-16"))


def test_airflows_backfill_of_a_past_night_changes_no_published_row(demo: Demo) -> None:
    before = _fingerprints(demo)
    airflow = demo.airflow
    night = dt.date(2024, 8, 14)
    (run_id,) = backfill(airflow, night, night)
    assert wait_for_run(airflow, run_id) == "success"
    with demo.owner() as owner:
        nights = owner.execute("select night::text from ops.night_run where run_id = %s", (run_id,)).fetchall()
        loaded = owner.execute("select count(*) from ops.batch where run_id = %s", (run_id,)).fetchone()
        assert nights == [("2024-08-14",)]
        assert loaded and loaded[0] > 0
        published = owner.execute("select 1 from ops.publication where run_id = %s", (run_id,)).fetchone()
        assert published is None, "a night older than the published one loads and gates only"
    assert _fingerprints(demo) == before


def test_one_node_that_is_down_does_not_stop_the_night_and_is_named(demo: Demo) -> None:
    demo.province.node_down("210202")
    demo.province.advance()
    airflow = demo.airflow
    assert wait_for_run(airflow, airflow.trigger("2024-08-17")) == "success"
    with demo.reader() as reader:
        night, missing = reader.execute("select night::text, missing_nodes from marts.publication").fetchone() or (
            "",
            {},
        )
    assert night == "2024-08-17"
    assert missing == {"supervision": ["210202"], "trading": ["210202"]}


def test_a_failing_publish_gate_publishes_nothing_and_says_why_and_the_node_that_was_away_catches_up(
    demo: Demo,
) -> None:
    before = _fingerprints(demo)
    demo.province.node_up("210202")
    with demo.superuser() as superuser:
        superuser.execute(SABOTAGE)
    demo.province.advance()
    airflow = demo.airflow
    try:
        run_id = airflow.trigger("2024-08-18")
        assert wait_for_run(airflow, run_id) == "failed"
    finally:
        with demo.superuser() as superuser:
            superuser.execute("drop trigger lose_a_bid on ops.slot; drop function public.lose_a_bid()")
    counts = airflow.task_counts(run_id)
    assert counts["publish_gate"] == {"failed": 1}
    assert counts["publish"] == {"upstream_failed": 1}
    assert _fingerprints(demo) == before
    with demo.owner() as owner:
        reasons = owner.execute(
            "select message from ops.check_result where run_id = %s and severity = 'stop' and not is_success"
            " or build_id = (select max(build_id) from ops.build) and severity = 'stop' and not is_success",
            (run_id,),
        ).fetchall()
    assert any("fct_bid" in reason[0] for reason in reasons), reasons
    message = wait_for_alert(demo.alerts, "Publish gate failed\n- build ")
    assert f"Run {run_id} of nightly failed. Readers see night" in message
    assert "fct_bid.by_node (2 rules)" in message
    assert "docs/runbooks/publish-gate-failed.md" in message
    assert wait_for_run(airflow, airflow.trigger("2024-08-18")) == "success"
    assert "Over\n" in wait_for_alert(demo.alerts, "- Publish gate failed: build ")
    with demo.reader() as reader:
        assert_marts_equal_books(reader, demo.truth("2024-08-18"))


def test_each_night_has_left_a_report_and_its_marts_leave_as_open_data(demo: Demo, tmp_path: Path) -> None:
    reports = demo.layout.state / "reports"
    assert {f"2024-08-{day}.html" for day in range(13, 19)} <= {file.name for file in reports.iterdir()}
    (stopped,) = reports.glob("2024-08-18.unpublished-*.html")
    assert "the publish gate stopped build" in stopped.read_text(encoding="utf-8"), "kept when the night was mended"
    tables = export_tables(tmp_path / "tables")
    procurement = export_ocds(tmp_path / "ocds")
    with demo.reader() as reader:
        for one in tables.tables:
            assert reader.execute(COUNT.format(sql.Identifier("marts", one.mart))).fetchone() == (one.rows,), one.mart
        lots = reader.execute(
            "select count(*) from marts.fct_transaction where industry_code in ('01', '02', '10')"
        ).fetchone()
    assert (procurement.processes + sum(procurement.left_out.values()),) == lots
    for package in procurement.packages:
        content = (tmp_path / "ocds" / package.path).read_text(encoding="utf-8")
        assert package_errors(json.loads(content)) == [], package.path


def test_another_province_over_the_same_data_is_refused_in_one_line(demo: Demo) -> None:
    done = demo.command("run", "--profile", "tiny", "--seed", "9")
    assert done.returncode == 1
    assert "make clean" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_too_little_disk_is_one_line_before_anything_is_made(demo: Demo) -> None:
    done = demo.command("run", "--profile", "tiny", "--scale", "1000000")
    assert done.returncode == 1
    assert "GiB free" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_a_dead_child_process_ends_the_demo_in_one_line_and_the_next_demo_mends_it(demo: Demo) -> None:
    night = demo.province.night + dt.timedelta(days=1)
    started = subprocess.Popen(
        [sys.executable, "-m", "demo", "run", "--profile", "tiny", "--nights", "1", "--canaries"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with demo.owner() as owner:
            wait_for(owner, f"select 1 from ops.night_run where night = '{night}'")
        triggerer = next(one for one in demo.airflow.services if one.name == "airflow-triggerer").process()
        assert triggerer is not None
        kill_with_children(triggerer)
        _, words = started.communicate(timeout=120)
    finally:
        started.kill()
    assert started.returncode == 1
    assert "airflow-triggerer has ended" in words
    assert len(words.strip().splitlines()) == 1, words
    done = demo.run(1)
    assert done.returncode == 0, done.stdout + done.stderr
    with demo.reader() as reader, demo.owner() as owner:
        assert_marts_equal_books(reader, demo.truth(night.isoformat()))
        assert_nothing_lost(owner)


def test_after_all_this_no_persons_data_and_no_secret_stand_anywhere_in_clear(demo: Demo) -> None:
    """Nights that went well, a node down, a refused publication, killed processes: what all of it has left."""
    state, layout = demo.layout.state, demo.layout
    canaries = Needles(MARKERS)
    kept = [layout.airflow / name for name in ("fernet.key", "api.key", "jwt.key", "metadata.password")]
    kept.append(layout.warehouse / "superuser.password")
    secret = Needles(secret_words(state / "secrets", more=kept))
    sources = [layout.province, demo.cluster.data]
    ours = [state, demo.cluster.log.parent, settings().dbt_dir / "logs"]
    assert leaks_in_files(ours, canaries, apart=sources) == []
    assert leaks_in_files(ours, secret, apart=[*sources, *kept, state / "secrets"]) == []
    for database in ("yingshang", "airflow"):
        with demo.superuser(database) as superuser:
            assert leaks_in_database(superuser, canaries) == [], database
            assert leaks_in_database(superuser, secret) == [], database
    with demo.owner() as owner:
        arrived = arrived_as_tokens(owner, demo.province, secrets.keys())
        assert arrived
        assert all(arrived.values()), arrived
        assert {"hotline.work_order", "trading.bid"} <= set(decrypted_with_canary(owner, secrets.keys()))
    for process in demo.processes():
        assert secret.within(" ".join(process.cmdline()).encode()) == set(), process.name()
    # the search finds one: a line of a task's log, an XCom
    log = next((layout.airflow / "logs").rglob("*.log"))
    words = log.read_bytes()
    log.write_bytes(words + f"refused: {NAME}".encode())
    with demo.superuser("airflow") as superuser, superuser.transaction(force_rollback=True):
        superuser.execute("update xcom set value = to_jsonb(%s::text) where key = 'return_value'", (NAME,))
        assert leaks_in_database(superuser, canaries) == [f"public.xcom.value: {NAME}"]
    assert leaks_in_files([layout.airflow / "logs"], canaries) == [
        f"{log.relative_to(layout.airflow / 'logs')}: {NAME}"
    ]
    log.write_bytes(words)


def test_nothing_listens_beyond_this_machine_and_nothing_works_as_superuser(demo: Demo) -> None:
    demo.airflow.log_in()
    with demo.superuser() as superuser:
        powerful = superuser.execute(
            "select usename, application_name from pg_stat_activity join pg_user using (usename)"
            " where usesuper and backend_type = 'client backend' and pid <> pg_backend_pid()"
        ).fetchall()
        working = superuser.execute("select count(*) from pg_stat_activity where usename = 'airflow'").fetchone()
    assert powerful == []
    assert working
    assert working[0] > 0, "Airflow's metadata have a login of their own"
    listening = {
        (process.name(), place.laddr.ip)
        for process in demo.processes()
        for place in process.net_connections("inet")
        if place.status == psutil.CONN_LISTEN
    }
    assert listening
    assert {ip for _, ip in listening} <= {"127.0.0.1", "::1"}, listening


def test_stop_ends_everything_it_started_and_a_busy_port_is_one_line(demo: Demo) -> None:
    ours = demo.processes()
    assert len(ours) >= 5, ours
    assert demo.command("stop").returncode == 0
    _, alive = psutil.wait_procs(ours, timeout=20)
    assert alive == []
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the port was in use a moment ago
        squatter.bind(("127.0.0.1", demo.layout.warehouse_port))
        squatter.listen()
        done = demo.run(1)
    assert done.returncode == 1
    assert f"port {demo.layout.warehouse_port}" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def _fingerprints(demo: Demo) -> dict[str, tuple[int, str]]:
    """Number of rows and a hash of all of them, per mart, as published (build and slot apart)."""
    found = {}
    with demo.reader() as reader:
        for mart in MARTS:
            query = sql.SQL(
                "select count(*), sum(hashtextextended((to_jsonb(m) - '_slot' - '_build_id')::text, 0))::text from {} m"
            ).format(sql.Identifier("marts", mart))
            row = reader.execute(query).fetchone()
            assert row is not None
            found[mart] = (row[0], row[1])
    return found
