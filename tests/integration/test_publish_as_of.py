"""A past night built again: row for row what was published then, whatever has been corrected since."""

import dataclasses
import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import psycopg
import pytest
from psycopg import sql
from tests.support.dbt_models import COMPARED, PROJECT, Models
from tests.support.publishing import Verdict, publisher
from tests.support.raw_log import FIRST_NIGHT, RawLog
from tests.support.trading_raw import deal_code, lot_code, project_code

from yingshang.cli import main
from yingshang.errors import PublicationPostponed, UsageError
from yingshang.publish import build_as_of, drop_as_of, list_as_of
from yingshang.publish.dbt_runner import DbtBuilder
from yingshang.publish.model import BuildOutcome, Plan
from yingshang.warehouse.past import schema_of

CITY, COUNTY = "210300", "210321"
NEXT_NIGHT = FIRST_NIGHT + dt.timedelta(days=1)
DEAL, LATE = project_code(CITY, 1), project_code(CITY, 2)
ISSUE = f"WT01{CITY}000001"
LOT, LATE_LOT = lot_code(DEAL, 1), lot_code(LATE, 1)


def outcome(warehouse, night: dt.date, node: str, dataset: str, said: str) -> None:
    """A word on a provision of the night's run; said again, it takes the place of the one before."""
    with warehouse.connect("ingest") as conn:
        conn.execute(
            "insert into ops.night_run (run_id, night) values (%s, %s) on conflict do nothing", (f"test:{night}", night)
        )
        conn.execute(
            "insert into ops.provision_run (run_id, system, dataset, node_code, outcome)"
            " values (%s, 'trading', %s, %s, %s)"
            " on conflict (run_id, system, dataset, node_code) do update set outcome = excluded.outcome",
            (f"test:{night}", dataset, node, said),
        )


def stamped(cursor: str, project: str = DEAL, **values: object) -> dict[str, object]:
    code = deal_code("A01", "20240801", 1)
    return {"tender_project_code": project, "unified_deal_code": code, "data_timestamp": cursor, **values}


def contract(cursor: str, price: int, **values: object) -> dict[str, object]:
    return stamped(
        cursor, bid_section_code=LOT, bidder_code="91210100MA0ABCDE1X", contract_price=price, price_unit="0",
        contract_sign_time="20240810", **values,
    )  # fmt: skip


def event(number: int, kind: str, at: str, **values: object) -> dict[str, object]:
    return {
        "event_id": f"{ISSUE}-{number:03d}", "issue_code": ISSUE, "node_code": CITY, "event_type": kind,
        "event_time": at, "data_timestamp": at, **values,
    }  # fmt: skip


def a_closed_issue(log: RawLog) -> None:
    log.admitted(
        "supervision.batch", "210000", {"batch_code": "PC01", "batch_no": 1, "data_timestamp": "20240101000000"}
    )
    issue = {"issue_code": ISSUE, "batch_code": "PC01", "node_code": CITY, "environment_code": "01"}
    log.admitted(
        "supervision.issue", "210000",
        {**issue, "assign_time": "20240201", "due_time": "20240301", "data_timestamp": "20240201000000"},
    )  # fmt: skip
    log.admitted(
        "supervision.issue_event", CITY, event(1, "assigned", "20240201080000"), event(2, "verified", "20240220080000"),
        event(3, "closed", "20240221080000"),
    )  # fmt: skip
    expert = {"expert_code": "E00001", "dept_code": "D01", "start_date": "20240101"}
    log.admitted("hotline.expert", "210000", {**expert, "data_timestamp": "20240101000000"})


def first_night(warehouse, log: RawLog) -> int:
    """Returns the batch of lots."""
    a_closed_issue(log)
    log.admitted("trading.project", CITY, stamped("20240801080000", create_time="20240801"))
    lot = {"create_time": "20240801", "region_code": CITY, "contract_reckon_price": 900, "price_unit": "0"}
    lots = log.admitted("trading.lot", CITY, stamped("20240801080000", bid_section_code=LOT, **lot),
                 stamped("20240801080000", LATE, bid_section_code=LATE_LOT, **lot))  # fmt: skip
    log.admitted("trading.contract", CITY, contract("20240810080000", 800))
    outcome(warehouse, FIRST_NIGHT, CITY, "lot", "loaded")
    outcome(warehouse, FIRST_NIGHT, COUNTY, "lot", "failed")
    outcome(warehouse, FIRST_NIGHT, COUNTY, "bid", "nothing_to_send")
    return lots


def what_followed(warehouse, log: RawLog, lots: int) -> None:
    """A closed issue and a contract are corrected, a batch withdrawn, a parent late; the first night's run goes on."""
    log.admitted(
        "supervision.issue_event", CITY, event(3, "closed", "20240221080000", data_timestamp="20240814080000"),
        event(4, "reopened", "20240814090000"), night=NEXT_NIGHT,
    )  # fmt: skip
    moved = {"expert_code": "E00001", "dept_code": "D02", "start_date": "20240101", "data_timestamp": "20240814080000"}
    log.admitted("hotline.expert", "210000", moved, night=NEXT_NIGHT)
    log.admitted("trading.contract", CITY, contract("20240814080000", 1_000_000), night=NEXT_NIGHT)
    log.admitted("trading.project", CITY, stamped("20240814080000", LATE, create_time="20240801"), night=NEXT_NIGHT)
    log.say("withdrawn", lots)
    # the county's lots of the first night arrive after its publication, in the same run
    outcome(warehouse, FIRST_NIGHT, COUNTY, "lot", "nothing_to_send")
    late = log.batch("trading.bid", COUNTY, [stamped("20240813090000", bid_section_code=LOT, bidder_org_code="X")])
    log.say("admitted", late)
    outcome(warehouse, NEXT_NIGHT, CITY, "lot", "nothing_to_send")


def publish(night: dt.date) -> None:
    one = publisher(DbtBuilder(), audit=lambda build_id: Verdict(True))
    built = one.build(night, "test")
    one.audit(built.build_id)
    one.publish(built.build_id, "test")


def built_tables(admin: psycopg.Connection, schema: str) -> set[str]:
    found = admin.execute("select tablename from pg_tables where schemaname = %s", (schema,)).fetchall()
    return {name for (name,) in found} & set(COMPARED)


def test_a_night_is_rebuilt_row_for_row_after_corrections(warehouse, capsys, tmp_path) -> None:
    with warehouse.admin() as admin:
        log, models = RawLog(admin), Models(admin, {}, tmp_path)
        lots = first_night(warehouse, log)
        publish(FIRST_NIGHT)
        admin.execute("create schema kept")
        for table in built_tables(admin, "slot_a"):
            admin.execute(f"create table kept.{table} as table slot_a.{table}")
        assert {"rpt_provision", "rpt_connection_matrix", "fct_contract"} <= built_tables(admin, "kept")
        what_followed(warehouse, log, lots)
        publish(NEXT_NIGHT)
        changed = models.differences("kept", "slot_b")
        corrected = {"fct_contract", "fct_transaction", "fct_bid", "fct_issue", "fct_issue_event", "dim_expert_history"}
        reported = {"rpt_provision", "rpt_source_scorecard", "rpt_batch_progress", "rpt_published_figure"}
        assert corrected | reported <= set(changed), changed

        with pytest.raises(SystemExit) as ended:
            main(["build", "--as-of", str(FIRST_NIGHT)])
        said = capsys.readouterr().out
        assert not ended.value.code, said
        assert "warning" not in said
        assert f"night {FIRST_NIGHT} as publication 1" in said
        past = schema_of(FIRST_NIGHT)
        assert models.differences("kept", past) == {}
        builds = admin.execute("select schema_name, kind, outcome from ops.build order by build_id").fetchall()
        assert builds[2:] == [(past, "as_of", "succeeded")]
        assert admin.execute("select state from ops.slot order by slot").fetchall() == [("idle",), ("live",)]
        attached = admin.execute("select inhrelid::regclass::text from pg_inherits").fetchall()
        assert attached
        assert not [table for (table,) in attached if table.startswith("asof_")]

    with warehouse.connect("owner") as owner:
        assert owner.execute(f"select status, is_resolved from {past}.fct_issue").fetchall() == [("closed", True)]
        assert owner.execute(f"select contract_price_yuan from {past}.fct_contract").fetchall() == [(800,)]
    with warehouse.connect("bi_reader") as reader, pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute(f"select * from {past}.fct_contract")


# --- the ways of a schema, with a builder of one table ----------------------------------------------------------------


@dataclasses.dataclass
class SmallBuilder:
    """One table; ``during`` happens while it is built."""

    code_version: str = "sql-1"
    error: str | None = None
    during: object = None

    def plan_past(self, schema: str) -> Plan:
        return Plan(("fct_deal",), self.code_version)

    def run_past(self, schema: str) -> BuildOutcome:
        from yingshang.warehouse import connect

        with connect("transform") as conn:
            conn.execute(sql.SQL("create table {} (n int)").format(sql.Identifier(schema, "fct_deal")))
        if callable(self.during):
            self.during()
        return BuildOutcome((), self.error)

    def forget(self, schema: str) -> None:
        pass


def published(warehouse, *nights: dt.date) -> None:
    """Publications in the ledger, of code sql-1."""
    with warehouse.connect("publish") as conn:
        for night in nights:
            conn.execute(
                "with b as (insert into ops.build (schema_name, slot, kind, from_seq, to_seq, night, code_version)"
                " values ('slot_a', 'slot_a', 'full', 0, 0, %(night)s, 'sql-1') returning build_id)"
                " insert into ops.publication (kind, build_id, slot, night, to_seq)"
                " select 'publish', build_id, 'slot_a', %(night)s, 0 from b",
                {"night": night},
            )


def test_a_night_never_published_is_refused(warehouse) -> None:
    with pytest.raises(UsageError, match="2024-08-13 was never published; published were none"):
        build_as_of(FIRST_NIGHT, None, builder=SmallBuilder())
    published(warehouse, FIRST_NIGHT)
    with pytest.raises(UsageError, match="2024-08-14 was never published; published were 2024-08-13"):
        build_as_of(NEXT_NIGHT, None, builder=SmallBuilder())
    assert list_as_of() == []


def test_other_code_is_a_warning(warehouse) -> None:
    published(warehouse, FIRST_NIGHT)
    assert build_as_of(FIRST_NIGHT, None, builder=SmallBuilder()).warning is None
    again = build_as_of(FIRST_NIGHT, None, builder=SmallBuilder("sql-2"))
    assert again.warning
    assert "made by sql-1, this one by sql-2" in again.warning
    (one,) = list_as_of()
    assert (one.build_id, one.outcome, one.code_version) == (again.build_id, "succeeded", "sql-2")


def test_a_schema_is_listed_and_dropped(warehouse, capsys) -> None:
    def yingshang(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out + err

    published(warehouse, FIRST_NIGHT)
    assert yingshang("build", "--as-of", "list") == (
        0,
        "no past night is built: `yingshang build --as-of yyyy-mm-dd`\n",
    )
    code, said = yingshang("build", "--as-of", "2024-08-13", "--drop")
    assert (code, "there is no asof_20240813" in said) == (2, True), said
    code, said = yingshang("build", "--as-of", "13.8.")
    assert (code, "'--as-of': '13.8.' is not a date" in said) == (2, True), said
    code, said = yingshang("build", "--drop")
    assert (code, "--drop goes with --as-of" in said) == (2, True), said
    build_as_of(FIRST_NIGHT, None, builder=SmallBuilder())
    code, said = yingshang("build", "--as-of", "list")
    assert (code, "night 2024-08-13 in asof_20240813: succeeded, build 2" in said) == (0, True), said
    code, said = yingshang("status")
    assert "past night 2024-08-13 is built in asof_20240813" in said, said
    drop_as_of(FIRST_NIGHT)
    assert list_as_of() == []


def test_one_build_of_a_night_at_a_time_and_beside_the_publisher(warehouse) -> None:
    published(warehouse, FIRST_NIGHT, NEXT_NIGHT)
    started, go_on = Event(), Event()

    def linger() -> None:
        started.set()
        assert go_on.wait(20)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(build_as_of, FIRST_NIGHT, None, builder=SmallBuilder(during=linger))
        assert started.wait(20)
        with pytest.raises(PublicationPostponed, match="is being built in asof_20240813 right now"):
            build_as_of(FIRST_NIGHT, None, builder=SmallBuilder())
        build_as_of(NEXT_NIGHT, None, builder=SmallBuilder())
        publisher().build(NEXT_NIGHT, "test")  # takes the publisher's lock
        go_on.set()
        assert first.result(timeout=20).build_id == 3
    assert [one.outcome for one in list_as_of()] == ["succeeded", "succeeded"]


def test_what_was_broken_off_is_closed_by_the_next(warehouse) -> None:
    published(warehouse, FIRST_NIGHT)

    def fall() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_as_of(FIRST_NIGHT, None, builder=SmallBuilder(during=fall))
    with warehouse.admin() as admin:
        assert admin.execute("select outcome, error from ops.build where kind = 'as_of'").fetchall() == [
            ("failed", "KeyboardInterrupt: ")
        ]
        admin.execute("update ops.build set outcome = null, error = null, finished_at = null where kind = 'as_of'")
        build_as_of(FIRST_NIGHT, None, builder=SmallBuilder())
        assert admin.execute("select outcome, error from ops.build where kind = 'as_of' order by 1").fetchall() == [
            ("failed", "interrupted"), ("succeeded", None),
        ]  # fmt: skip


def test_every_model_that_reads_the_ledger_is_bounded() -> None:
    """What a model reads of ops is a function of (seq, night): one of the bounds of the build stands in it."""
    bounds = {"build": (), "batch": ("batch_id",), "night_run": ("run_id",)}
    bounds |= {"batch_event": ("to_seq",), "provision_outcome": ("to_outcome",)}
    for path in (PROJECT / "models").rglob("*.sql"):
        text = path.read_text(encoding="utf-8")
        for table in ("provision_run", "check_result", "publication", "slot", "live"):
            assert f'source("ops", "{table}")' not in text, f"{path.name} reads ops.{table}, which has no bound"
        for table, names in bounds.items():
            if f'source("ops", "{table}")' in text:
                assert all(name in text for name in names), f"{path.name} reads ops.{table} without its bound"
