"""Alerts, from the ledger to a service: one message per run, only news, and nothing in it that came from a source."""

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.errors import UndefinedTable
from tests.conftest import Warehouse
from tests.support.ingest import Fleet
from tests.support.quality_ledger import add_batch, lot_rows, open_night
from tests.support.receiver import Receiver, receiving

from yingshang.alerts import KINDS, outlook
from yingshang.cli.app import main
from yingshang.errors import ContractError, CredentialError, SourceUnavailable, WarehouseUnavailable
from yingshang.ingest.landing import LandingUnavailable
from yingshang.orchestrate.alerts import on_failure, on_success
from yingshang.orchestrate.notifier import AlertNotDelivered
from yingshang.secrets import save_connections
from yingshang.settings import PROJECT_ROOT
from yingshang.warehouse import PgConnection, ledger
from yingshang.warehouse.ledger import CheckResult

GOOD, GONE, REFUSED, SILENT, DRIFTS, BROKEN, FULL, BLOCKED = (f"210{n}00" for n in range(1, 9))
NODES = (GOOD, GONE, REFUSED, SILENT, DRIFTS, BROKEN, FULL, BLOCKED)
FIRST = dt.date(2024, 8, 13)
SECRET, CITIZEN = "hunter2-hunter2", "210101197001019999"
"""A password and a citizen's number, in every text that a source or an exception could bring."""


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving(SECRET) as (server, variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def db(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> Iterator[PgConnection]:
    """The ledger of eight nodes, whose first night went well."""
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))
    fleet = Fleet(tmp_path / "registry")
    for node in NODES:
        fleet.add(node, "postgres", "lot")
    with warehouse.connect("ingest") as connection:
        night(connection, FIRST, *NODES)
        yield connection


def night(db: PgConnection, of: dt.date, *came: str) -> str:
    """A night in which these nodes deliver, and are admitted."""
    run = open_night(db, f"run {of}", of)
    for node in came:
        stamp = f"{of:%Y%m%d}120000"
        batch = add_batch(db, node, lot_rows(node, 2, stamp=stamp), run_id=run, night=of, cursor_high=stamp)
        ledger.record_provision(db, run, "trading", "lot", node, "loaded")
        ledger.admit(db, [batch], reason="test", actor="test")
    db.commit()
    return run


def fails(db: PgConnection, run: str, node: str, error: Exception) -> None:
    ledger.record_provision(db, run, "trading", "lot", node, "failed", error=error)
    db.commit()


def bad_night(db: PgConnection, warehouse: Warehouse) -> str:
    """Two nights later: everything that there are alerts for, but a failed run."""
    of = FIRST + dt.timedelta(days=2)
    run = night(db, of)
    secret = f"postgresql://u:{SECRET}@10.0.0.1/front refuses; row ({CITIZEN}, 张三)"
    fails(db, run, REFUSED, CredentialError(secret))
    fails(db, run, SILENT, SourceUnavailable(secret))
    fails(db, run, BROKEN, ContractError(f"unknown column {CITIZEN}"))
    fails(db, run, FULL, LandingUnavailable(secret))
    add_batch(db, DRIFTS, lot_rows(DRIFTS, 1), run_id=run, night=of,
              drift={"missing": ["CURRENCY_CODE"], "extra": [CITIZEN, "张三"]})  # fmt: skip
    batches = [add_batch(db, node, lot_rows(node, 1), run_id=run, night=of) for node in (GONE, GOOD)]
    rules = ("full_reread_ratio at least 0.6", "no cursor ahead")
    ledger.insert_check_results(db, [
        CheckResult(stage="landing", suite="trading.lot", expectation=rule, severity="stop", is_success=False,
                    observed={}, message=f"{rule}: {CITIZEN}", run_id=run, night=of, batch_id=batch)
        for batch, rule in zip(batches, rules, strict=True)
    ])  # fmt: skip
    for node in (GOOD, GONE, DRIFTS, BLOCKED):
        ledger.record_provision(db, run, "trading", "lot", node, "nothing_to_send")
    db.commit()
    with warehouse.admin() as admin:
        admin.execute(
            "insert into ops.reconciliation (run_id, night, system, dataset, node_code, method, outcome,"
            " contract_version, source_rows, warehouse_rows, pending_rows, unverified_rows, lost_rows, changed_rows,"
            " deleted_rows, rejected_rows, bytes_moved, bytes_full, notes, started_at) values ('r', %s, 'trading',"
            " 'lot', %s, 'full', 'blocked', '1', 60, 100, 0, 0, 0, 0, 40, 0, 0, 0, array[%s], now())",
            (of, BLOCKED, CITIZEN),
        )
        admin.execute(
            "insert into ops.build (schema_name, slot, kind, from_seq, to_seq, night, run_id, finished_at, outcome,"
            " error) values ('slot_a', 'slot_a', 'full', 0, 1, %s, %s, now(), 'failed', %s)", (of, run, secret),
        )  # fmt: skip
        admin.execute(
            "insert into ops.dbt_result (build_id, node_id, resource_type, status, seconds, message)"
            " values (1, 'model.yingshang.fct_bid', 'model', 'error', 0, %s)", (secret,),
        )  # fmt: skip
    return run


def ended(run: str, *, well: bool = True) -> None:
    """A run of the nightly DAG has ended: its callbacks are called as Airflow calls them."""
    from airflow.sdk import DAG

    for notifier in on_success() if well else on_failure("nothing was published"):
        notifier({"dag": DAG("nightly"), "run_id": run})


def test_nobody_is_told_without_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YINGSHANG_ALERTS", raising=False)
    assert (on_success(), on_failure("x")) == ([], [])


def test_a_good_night_says_nothing_and_a_failed_run_always_speaks(db: PgConnection, receiver: Receiver) -> None:
    ended(f"run {FIRST}")
    assert receiver.got == []
    for number in (1, 2):
        ended(f"attempt {number}", well=False)
        assert len(receiver.got) == number
    message = receiver.got[-1]["message"]
    assert message.startswith("Run attempt 2 of nightly failed. Nothing has been published yet.")
    assert "Do: docs/runbooks/run-failed.md" in message
    ended("attempt 3")
    assert len(receiver.got) == 2, "a failure is an event: a good run after it is no news"


def test_one_message_says_all_that_is_new_and_nothing_that_came_from_a_source(
    db: PgConnection, warehouse: Warehouse, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    run = bad_night(db, warehouse)
    found = str(outlook())
    ended(run, well=False)
    ((said,),) = [receiver.got]
    body = said["message"]
    for lines in (
        "Build failed\n- build 1 of night 2024-08-15 in slot_a: failed: fct_bid (since 2024-08-15)",
        "Landing gate refused batches\n- trading.lot of 210100 沈阳市, batch",
        "Mass deletion held back\n- trading.lot of 210200 大连市, batch",
        "- trading.lot of 210800 营口市: 40 of 100 rows are gone at the source (comparison 1)",
        "refused\n- trading of 210300 鞍山市: all 1 datasets; last data of night 2024-08-13; CredentialError",
        "Nodes silent beyond their cadence\n- trading of 210400 抚顺市: all 1 datasets; last data of night 2024-08-13;"
        " SourceUnavailable (since 2024-08-14)",
        "- trading.lot of 210500 本溪市: 2 columns that the contract does not name, missing CURRENCY_CODE",
        "- trading of 210600 丹东市: all 1 datasets; last data of night 2024-08-13; ContractError",
        "- trading of 210700 锦州市: all 1 datasets; last data of night 2024-08-13; LandingUnavailable",
    ):
        assert lines in body, (lines, body)
    assert said["title"].startswith("Yingshang: nightly failed: build failed (1), landing gate refused batches (1)")
    assert "Run failed" not in body, "the failed build says it"
    told = {kind.name for kind in KINDS.values() if kind.runbook in body}
    assert told == set(KINDS) - {"run-failed", "quorum-not-met", "publish-gate-failed", "publication-postponed",
                                 "program-fault"}  # fmt: skip
    everything = str(said) + found
    with warehouse.admin() as admin:
        (ledger_text,) = admin.execute("select string_agg(error, '') from ops.provision_run").fetchone() or ("",)
        kept = admin.execute("select title || body from ops.alert_message").fetchall()
    for canary in (SECRET, CITIZEN, "张三"):
        assert canary in ledger_text, "it stood in what the alerts are made from"
        assert canary not in everything
        assert canary not in str(kept)
    with pytest.raises(SystemExit):
        main(["alerts"])
    shown = capsys.readouterr().out
    assert "Build failed (said): 1; docs/runbooks/build-failed.md" in shown
    assert "not said yet" not in shown


def test_what_was_said_is_not_said_again_until_it_changes_or_is_over(
    db: PgConnection, warehouse: Warehouse, receiver: Receiver
) -> None:
    run = night(db, FIRST + dt.timedelta(days=2), GOOD, GONE, DRIFTS, BROKEN, FULL, BLOCKED)
    fails(db, run, REFUSED, CredentialError("no"))
    fails(db, run, SILENT, SourceUnavailable("no"))
    receiver.status = 500
    with pytest.raises(AlertNotDelivered, match="yingshang_alerts"):
        ended(run)
    assert len(outlook().news.fresh) == 2, "what no service took was not said"
    receiver.status = 200
    ended(run)
    assert receiver.got[0]["title"] == (
        "Yingshang: login, certificate or host key refused (1), nodes silent beyond their cadence (1)"
    )
    for days in (3, 4):
        run = night(db, FIRST + dt.timedelta(days=days), GOOD, GONE, DRIFTS, BROKEN, FULL, BLOCKED)
        fails(db, run, REFUSED, CredentialError("no"))
        fails(db, run, SILENT, SourceUnavailable(f"no, since {days} days"))
        ended(run)
    assert len(receiver.got) == 1, "the same, two nights older"
    run = night(db, FIRST + dt.timedelta(days=5), GOOD, GONE, DRIFTS, BROKEN, FULL, BLOCKED, SILENT)
    fails(db, run, REFUSED, ContractError("now this"))
    ended(run)
    assert (
        "Over\n- Login, certificate or host key refused: trading 210300\n- Nodes silent" in receiver.got[1]["message"]
    )
    assert "Deliveries that break their contract\n- trading of 210300" in receiver.got[1]["message"]
    ended(run)
    assert len(receiver.got) == 2


def test_a_night_without_quorum_is_told_each_night_and_over_once_one_is_published(
    db: PgConnection, receiver: Receiver
) -> None:
    verdict = {"trading": {"nodes": 8, "arrived": 2, "share": 0.25, "min_share": 0.8, "is_met": False,
                           "required_missing": ["210000"], "absent": {}, "partial": {}}}  # fmt: skip
    for days in (1, 2):
        of = FIRST + dt.timedelta(days=days)
        run = night(db, of, *NODES)
        ledger.close_night(db, run, closed_at=dt.datetime.now(dt.UTC), is_quorum_met=False, verdict=verdict)
        db.commit()
        ended(run, well=False)
        assert (
            "trading: 2 of 8 nodes arrived (25%, needed 80%); required and missing: 210000"
            in (receiver.got[-1]["message"])
        )
        assert f"(since {of})" in receiver.got[-1]["message"]
    assert "Over\n- Too few nodes arrived: night 2024-08-14 trading" in receiver.got[-1]["message"]
    assert len(receiver.got) == 2


def test_when_the_ledger_cannot_be_read_a_failed_run_is_still_told(
    db: PgConnection, warehouse: Warehouse, receiver: Receiver
) -> None:
    with warehouse.admin() as admin:
        admin.execute("alter table ops.alert rename to of_an_older_version")
    with pytest.raises(UndefinedTable):
        ended("run 8", well=False)
    save_connections({"warehouse_publish": f"postgresql://yingshang_publish:{SECRET}@127.0.0.1:1/none"})
    with pytest.raises(WarehouseUnavailable):
        ended("run 9", well=False)
    assert len(receiver.got) == 2
    for said, why in zip(receiver.got, ("UndefinedTable", "WarehouseUnavailable"), strict=True):
        assert said["title"] == "Yingshang: nightly failed"
        assert "nothing was published" in said["message"]
        assert f"could not be read ({why})" in said["message"]
    assert SECRET not in str(receiver.got)


def test_the_nights_callbacks_speak_when_airflows_dag_processor_runs_them(db: PgConnection, receiver: Receiver) -> None:
    import structlog
    from airflow.callbacks.callback_requests import DagCallbackRequest
    from airflow.dag_processing.dagbag import DagBag
    from airflow.dag_processing.processor import _execute_dag_callbacks

    path = str(PROJECT_ROOT / "dags" / "nightly.py")
    bag = DagBag(path)
    assert bag.import_errors == {}
    fails(db, night(db, FIRST + dt.timedelta(days=1), GOOD), REFUSED, CredentialError("no"))
    for has_failed in (True, False):
        request = DagCallbackRequest(
            filepath=path, dag_id="nightly", run_id="run 1", bundle_name="dags", bundle_version=None,
            is_failure_callback=has_failed, msg="task_failure",
        )  # fmt: skip
        _execute_dag_callbacks(bag, request, structlog.get_logger())
    ((said,),) = [receiver.got]
    assert said["title"] == "Yingshang: nightly failed: run failed (1), login, certificate or host key refused (1)"


def test_every_query_on_a_runbook_runs_as_the_reader_it_names(db: PgConnection) -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in (PROJECT_ROOT / "docs" / "runbooks").glob("*.md"))
    queries = [query for query in re.findall(r"`(select [^`]*;)`", text) if "<" not in query.replace("<>", "")]
    assert len(queries) > 8
    for query in queries:
        db.execute(query.replace("%", "%%").encode())
