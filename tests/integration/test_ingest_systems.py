"""What supervision, hotline and sunshine bring to ingest: a citizen's words, months, counts, codes within a node."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from tests.conftest import Warehouse
from tests.support.http_city import SECRET, City, served
from tests.support.ingest import (
    NIGHT,
    Fleet,
    csv_of,
    evaluation,
    event,
    lot,
    outcome,
    pg_source,
    run_night,
    work_order,
    write_drop,
)

from localpg import Cluster
from yingshang import secrets
from yingshang.ingest import QuorumNotMet, close_night, ingest_node, open_night
from yingshang.settings import settings
from yingshang.warehouse import ledger

PROVINCE, CITY, COUNTY = "210000", "210100", "210102"
SAID = "楼上漏水三天无人管"


@pytest.fixture
def fleet(warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))
    return Fleet(tmp_path / "registry")


@pytest.fixture
def refused(warehouse: Warehouse) -> Iterator[object]:
    """Reasons of quarantined rows, by dataset and number of the row."""

    def read() -> list[tuple[str, int, list[str]]]:
        with warehouse.admin() as admin:
            return admin.execute("select dataset, row_number, reasons from quarantine.row order by 1, 2").fetchall()

    yield read


def test_the_words_and_the_name_of_a_citizen_are_written_nowhere(
    warehouse: Warehouse, fleet: Fleet, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    fleet.add(CITY, "http", "hotline.work_order")
    city = City()
    city.table = "WORK_ORDER"
    city.rows = [
        work_order(1, CONTENT=SAID, NOTE="内部备注"),
        work_order(2, CONTENT=None, NOTE=None),
        work_order(3, CONTENT=SAID, CLASS_CODE="水", NOTE=None),
    ]
    with served(city) as port:
        warehouse.add_connections({f"hotline_{CITY}": f"http://client:{SECRET}@127.0.0.1:{port}/city/1"})
        report = run_night("run-1", CITY, system="hotline").datasets[0]
    assert (report.source_rows, report.raw_rows, report.quarantined_rows) == (3, 2, 1)
    with warehouse.admin() as admin:
        raw = admin.execute("select to_jsonb(r)::text from raw.hotline__work_order r order by _row").fetchall()
        lengths = admin.execute("select content_length from raw.hotline__work_order order by _row").fetchall()
        batches = admin.execute("select to_jsonb(b)::text from ops.batch b").fetchall()
        [(payload, key_id)] = admin.execute("select payload, key_id from quarantine.row").fetchall()
    assert lengths == [(9,), (None,)]
    delivered = json.loads(Fernet(secrets.keys().quarantine.keys[key_id]).decrypt(payload))
    assert delivered["CONTENT"] == "9"
    landed = b"".join(path.read_bytes() for path in Path(settings().landing.removeprefix("file://")).rglob("*.parquet"))
    printed = "".join(capfd.readouterr())
    clear = f"{raw} {batches} {caplog.text} {printed} {payload!r} {landed.decode('utf-8', 'ignore')}"
    for secret in (SAID, "李四", "13900000000", "内部备注"):
        assert secret not in clear
    assert SAID not in str(delivered)
    with warehouse.connect("ingest") as connection:
        [batch] = ledger.batches_of_run(connection, "run-1")
    assert batch.drift == {"extra": ["NOTE"]}


def test_a_countys_drops_of_events_and_outcomes_are_taken_in(
    warehouse: Warehouse, fleet: Fleet, tmp_path: Path, refused: object
) -> None:
    fleet.add(COUNTY, "files", "supervision.issue_event", "supervision.issue_outcome", form="csv-gb18030")
    folder = tmp_path / "outbox"
    warehouse.add_connections({f"supervision_{COUNTY}": folder.as_uri()})
    events = [
        event(1, node=COUNTY),
        event(2, node=COUNTY, EVENT_TYPE="完成"),
        event(3, node=CITY),
        event(4, node=COUNTY, HANDLER_NAME=None, IS_DELETE="T"),
    ]
    outcomes = [outcome(1, node=COUNTY), outcome(2, node=COUNTY, AMOUNT="-1"), outcome(3, node=COUNTY, QUANTITY="-3")]
    write_drop(folder, "ISSUE_EVENT", "20240813", csv_of(events), 4, node=COUNTY)
    write_drop(folder, "ISSUE_OUTCOME", "20240813", csv_of(outcomes), 3, node=COUNTY)
    found = run_night("run-1", COUNTY, system="supervision").datasets
    assert {one.dataset: (one.raw_rows, one.quarantined_rows) for one in found} == {
        "issue_event": (2, 2),
        "issue_outcome": (1, 2),
    }
    assert refused() == [  # type: ignore[operator]
        ("issue_event", 2, ["allowed:EVENT_TYPE"]),
        ("issue_event", 3, ["region_not_of_node"]),
        ("issue_outcome", 2, ["minimum:AMOUNT"]),
        ("issue_outcome", 3, ["minimum:QUANTITY"]),
    ]
    with warehouse.admin() as admin:
        names = admin.execute("select handler_name from raw.supervision__issue_event order by _row").fetchall()
        amounts = admin.execute("select amount, price_unit from raw.supervision__issue_outcome").fetchall()
    assert str(names[0][0]).startswith("k1:")
    assert names[1] == (None,)
    assert [(float(amount), unit) for amount, unit in amounts] == [(100.5, "1")]


def test_counts_of_a_month_keep_to_the_calendar_and_to_each_other(
    warehouse: Warehouse, fleet: Fleet, pg_server: Cluster, refused: object
) -> None:
    fleet.add(PROVINCE, "postgres", "sunshine.evaluation")
    with pg_source(pg_server, f"months_{warehouse.dbname}", "sunshine.evaluation", clock="20240814000500") as source:
        source.insert(
            "sunshine.evaluation",
            evaluation(1, node="210102"),
            evaluation(2, node="211481", STAT_MONTH="202408"),
            evaluation(3, node="210102", STAT_MONTH="202409"),
            evaluation(4, node="210102", SATISFIED="101"),
            evaluation(5, node="220102"),
            evaluation(6, node="210102", SATISFIED=None),
        )
        warehouse.add_connections({f"sunshine_{PROVINCE}": source.dsn})
        report = run_night("run-1", PROVINCE, system="sunshine").datasets[0]
    assert (report.source_rows, report.raw_rows, report.quarantined_rows) == (6, 3, 3)
    assert sorted(reasons for _, _, reasons in refused()) == [  # type: ignore[operator]
        ["not_after_clock:STAT_MONTH"],
        ["region_not_of_node"],
        ["row_rule:SATISFIED<=PARTICIPANTS"],
    ]
    with warehouse.admin() as admin:
        months = admin.execute(
            "select village_code, stat_month, participants, satisfied from raw.sunshine__evaluation order by 1"
        ).fetchall()
    assert months == [
        ("210102000001", "202407", 100, 99),
        ("210102000006", "202407", 100, None),
        ("211481000002", "202408", 100, 99),
    ]


def test_a_system_of_which_nothing_came_is_explained(warehouse: Warehouse, fleet: Fleet, pg_server: Cluster) -> None:
    fleet.add(PROVINCE, "postgres", "lot", "hotline.expert", "hotline.department")
    fleet.add(CITY, "http", "hotline.work_order", "hotline.callback")
    with pg_source(pg_server, f"lots_{warehouse.dbname}", "lot") as source:
        source.insert("lot", lot(1, node=PROVINCE))
        warehouse.add_connections(
            {f"trading_{PROVINCE}": source.dsn, f"hotline_{CITY}": "http://id:secret@127.0.0.1:1/city/1"}
        )
        open_night(NIGHT, "run-1")
        ingest_node("trading", PROVINCE, "run-1")
        for node in (PROVINCE, CITY):
            with pytest.raises(Exception, match=f"hotline.* of node {node}, night 2024-08-13"):
                ingest_node("hotline", node, "run-1")
    with pytest.raises(QuorumNotMet) as caught:
        close_night("run-1")
    assert str(caught.value).startswith(
        "night 2024-08-13: hotline: nothing came from any of 2 nodes (0%, needed 80%), the required 210000 among the"
        " missing; missing: 210000, 210100; provisions: 2 failed: CredentialError, 2 failed: SourceUnavailable."
    )
    assert "trading" not in str(caught.value)
    with warehouse.connect("ingest") as connection:
        run = ledger.night_run(connection, "run-1")
    assert run is not None
    assert run.verdict is not None
    assert run.verdict["trading"]["is_met"]
    assert set(run.verdict["hotline"]["absent"]) == {PROVINCE, CITY}
