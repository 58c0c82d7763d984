"""The report of a night: one self-contained page for every night, published or not, archived by night."""

import datetime as dt
import re
from pathlib import Path

import psycopg
import pytest
from lxml import html
from psycopg import sql
from tests.support.publishing import SqlBuilder, Verdict, cycle, publisher
from tests.support.quality_ledger import NIGHT, add_batch, lot_rows, open_night

from yingshang.cli.app import main
from yingshang.errors import AuditFailed, BuildError, WarehouseUnavailable
from yingshang.publish import announce
from yingshang.quality.results import UNMEASURED
from yingshang.report import reports_dir, write_report
from yingshang.settings import settings
from yingshang.warehouse import ledger

NEXT = NIGHT + dt.timedelta(days=1)
CLOSED = dt.datetime(2024, 8, 14, 2, tzinfo=dt.UTC)
EVIL = '<script>alert("x")</script> & "quoted"'
CITIZEN = "210101197001019999"
FIGURES = """
create table {table} as select
    'lots'::text as figure, 'trading'::text as system, 'over 10 lots'::text as statement,
    10::numeric as published_value, 'lots'::text as unit, 'greater'::text as rule,
    {value}::numeric as value, 10::numeric as expected_value,
    {value}::numeric as current_value, 'published'::text as basis,
    case when {missing} <> '' then 'incomplete' when {value} > 10 then 'holds' else 'differs' end as verdict,
    nullif(nullif({missing}, ''), 'nobody provides it') as missing_node_codes,
    0 as oldest_contribution_nights, {slot}::text as _slot, {build}::bigint as _build_id
"""
LEVELS = """
create table {table} as select
    'trading'::text as system, '210300'::text as node_code, '鞍山市'::text as node_name, {level}::text as quality_level,
    {level}::text as node_quality_level, 'missing'::text as shortcomings,
    {slot}::text as _slot, {build}::bigint as _build_id
"""


class ReportedMarts(SqlBuilder):
    """Three marts of deals, one figure and one level, that a test changes from night to night."""

    value = 12
    level = "A"
    missing = ""
    has_figures = True

    def _write(self, conn: psycopg.Connection, mart: str, build) -> None:
        query = {"rpt_published_figure": FIGURES, "rpt_source_scorecard": LEVELS}.get(mart)
        if query is None:
            super()._write(conn, mart, build)
            return
        table = sql.Identifier(build.slot, mart)
        conn.execute(sql.SQL("drop table if exists {}").format(table))
        named = {
            "table": table, "value": self.value, "level": self.level, "missing": self.missing, "slot": build.slot,
            "build": build.build_id,
        }  # fmt: skip
        conn.execute(sql.SQL(query).format(**{k: v if k == "table" else sql.Literal(v) for k, v in named.items()}))
        if not self.has_figures and mart == "rpt_published_figure":
            conn.execute(sql.SQL("delete from {}").format(table))
        conn.execute(sql.SQL("alter table {} alter _slot set not null, alter _build_id set not null").format(table))
        conn.execute(sql.SQL("alter table {} add check (_slot = {})").format(table, sql.Literal(build.slot)))


@pytest.fixture
def builder() -> ReportedMarts:
    return ReportedMarts(marts=("fct_deal", "fct_offer", "rpt_published_figure", "rpt_source_scorecard"))


@pytest.fixture
def night(warehouse):
    """One good batch, one refused, one node that failed with an evil message, one that was silent."""
    with warehouse.connect("ingest") as db:
        run = open_night(db)
        good = add_batch(db, "210200", lot_rows("210200", 3))
        add_batch(db, "210300", lot_rows("210300", 3), drift={"extra": ["NEW_COLUMN"], "missing": ["BID_SECTION_NAME"]})
        for node, outcome in (("210200", "loaded"), ("210300", "loaded"), ("210500", "nothing_to_send")):
            ledger.record_provision(db, run, "trading", "lot", node, outcome)
        ledger.record_provision(db, run, "trading", "lot", "210600", "failed", error=TimeoutError(EVIL))
        ledger.admit(db, [good], reason="test", actor="test")
        db.execute(
            "insert into quarantine.row (batch_id, run_id, system, dataset, node_code, night, row_number, reasons,"
            " payload, key_id, expires_at) values (%s, %s, 'trading', 'lot', '210200', %s, 7,"
            " '{required:BID_SECTION_NAME}', 'SECRET', 'k', now())",
            (good, run, NIGHT),
        )
        ledger.close_night(db, run, closed_at=CLOSED, is_quorum_met=True, verdict={"trading": {"is_met": True}})
        db.commit()
        yield run


def text(path: Path) -> str:
    return " ".join(" ".join(html.fromstring(path.read_text(encoding="utf-8")).itertext()).split())


def test_a_night_that_published_nothing_has_a_report_that_says_why_and_what_to_do(night) -> None:
    written = write_report(night)
    assert written.path == settings().state / "reports" / f"{NIGHT}.html"
    said = text(written.path)
    assert "not published: nothing was built: the landing gate or the build did not run to its end" in said
    assert "readers have nothing yet" in said
    assert "210600 丹东市 trading: lot never came" in said
    assert "never came" in said
    assert "not judged: the landing gate did not run to its end" in said
    assert "required:BID_SECTION_NAME (1)" in said
    assert "trading.lot 1 column that the contract does not name, missing BID_SECTION_NAME" in said
    assert "TimeoutError: see the log of its task" in said
    assert "Nothing has been published yet (尚未发布): readers have no marts. The first night that ends well" in said
    assert "There are no figures (尚未发布): nothing that holds them has been published yet." in said
    for hidden in ("SECRET", "NEW_COLUMN", "alert("):
        assert hidden not in said, "what a source has written stays in the ledger"


def test_a_batch_that_a_person_has_decided_on_waits_for_nobody(warehouse, night) -> None:
    assert "Batches that were not admitted (1)" in text(write_report(night).path)
    with warehouse.connect("ingest") as db:
        (batch,) = db.execute("select batch_id from ops.batch where node_code = '210300'").fetchone()
        ledger.record_events(db, [batch], "withdrawn", reason="wrong file", actor="test")
    assert "Batches that were not admitted" not in text(write_report(night).path)


def test_the_page_is_self_contained_and_readable_by_all(warehouse, night, builder) -> None:
    one = publisher(builder)
    built = one.build(NIGHT, night)
    with warehouse.connect("publish") as db:
        db.execute(
            "insert into ops.check_result (run_id, stage, suite, expectation, severity, is_success, build_id, message)"
            " values (%s, 'publish', 'fct_deal', 'sums', 'warn', false, %s, %s)",
            (night, built.build_id, EVIL),
        )
        db.cursor().executemany(
            "insert into ops.check_result (run_id, stage, suite, expectation, severity, is_success, build_id, message)"
            " values (%s, %s, 'fct_deal', %s, 'warn', false, %s, %s)",
            [
                (night, "dbt", "unique", built.build_id, "Got 3 results, configured to fail if != 0"),
                (night, "dbt", "numeric", built.build_id, f"Database Error: invalid input for numeric: {CITIZEN}"),
                (night, "publish", UNMEASURED, built.build_id, f"fct_deal: invalid input for numeric: {CITIZEN}"),
            ],
        )
    page = write_report(night).path.read_text(encoding="utf-8")
    tree = html.fromstring(page)
    assert "<script" not in page.lower(), "what a message says is shown as text"
    assert 'alert("x")' in tree.text_content()
    assert "Got 3 results" in tree.text_content()
    assert "fct_deal: numeric could not be evaluated: ops.check_result has the error" in tree.text_content()
    assert f"fct_deal: {UNMEASURED} could not be evaluated" in tree.text_content()
    assert CITIZEN not in page, "the database quotes the value that it could not read"
    assert not re.findall(r"(?:src|href)=[\"'](?!#|index\.html)[^\"']+|@import|url\(", page)
    assert set(re.findall(r"https?://[^\"'< ]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    tables = tree.findall(".//table")
    assert tables
    for table in tables:
        assert (table.findtext("caption") or "").strip(), html.tostring(table)[:200]
        assert all(cell.get("scope") for cell in table.iter("th"))
    pictures = tree.findall(".//figure")
    assert pictures
    assert all(picture.get("aria-label") for picture in pictures)
    assert "到达 arrived" in [node.text for node in tree.iter("text")], "the text of a chart is text"
    assert tree.get("lang") == "en"


def test_the_report_compares_with_the_night_before_and_names_what_fell(warehouse, night, builder) -> None:
    one = publisher(builder)
    built = one.build(NIGHT, night)
    one.audit(built.build_id)
    one.publish(built.build_id, night)
    first = write_report(night, announce(night))
    assert first.headline == "published as publication 1: 3 of 4 provisions arrived, 1 of 1 figures hold"
    assert "There is no earlier publication to compare with." in text(first.path)

    builder.rows, builder.value, builder.level = 45, 9, "C"
    with warehouse.connect("ingest") as db:
        open_night(db, "run-2", NEXT)
        ledger.close_night(db, "run-2", closed_at=CLOSED, is_quorum_met=True, verdict={})
    built = one.build(NEXT, "run-2")
    one.audit(built.build_id)
    one.publish(built.build_id, "run-2")
    said = text(write_report("run-2", announce("run-2")).path)
    assert "1 figures differ" in said
    assert "A → C" in said
    assert "holds → differs" in said
    assert "fct_deal 45 +5" in said
    assert "Compared with publication 1 (night 2024-08-13): 2 marts with another number of rows, 1 figures, 1" in said
    index = text(reports_dir() / "index.html")
    assert index.index(str(NEXT)) < index.index(str(NIGHT))


def test_a_gate_that_ran_again_counts_once(warehouse, night, builder) -> None:
    one = publisher(builder)
    built = one.build(NIGHT, night)
    one.audit(built.build_id)
    one.publish(built.build_id, night)
    before = sum(every for _, every in announce(night).checks.values())
    with warehouse.connect("ingest") as db:
        first, second = (row[0] for row in db.execute("select batch_id from ops.batch order by 1"))
        again = (("rows", False, None), ("codes", False, first), ("codes", False, second), ("rows", True, None))
        ledger.insert_check_results(
            db,
            [
                ledger.CheckResult(
                    stage="landing",
                    suite="lot",
                    expectation=rule,
                    severity="warn",
                    is_success=holds,
                    run_id=night,
                    batch_id=batch,
                    message=rule,
                )
                for rule, holds, batch in again
            ],
        )
    said = announce(night)
    assert said.checks["landing"] == [1, 2], "rows holds by its newest result; codes fails, of two batches"
    assert f" of {before + 2} checks passed" in str(said)
    assert said.warnings == ("codes", "codes")
    assert "landing 入库 warn 1 1" in text(write_report(night, said).path)


def test_a_figure_that_no_node_provides_is_said_to_be_so(warehouse, night, builder) -> None:
    one = publisher(builder, audit=lambda build_id: Verdict(True))
    builder.missing = "nobody provides it"
    cycle(one, NIGHT, night)
    said = text(write_report(night, announce(night)).path)
    assert "1 figures are incomplete 数字不完整: lots (no node provides it 无节点提供). Their values lack" in said
    assert "has no line in the registry: include/registry/provisions.csv" in said
    assert "incomplete 不完整 : no node provides it 无节点提供" in said, "beside the number"


def test_an_incomplete_figure_and_an_empty_mart_are_said_in_words(warehouse, night, builder) -> None:
    one = publisher(builder, audit=lambda build_id: Verdict(True))
    builder.missing = "210600, 210700"
    cycle(one, NIGHT, night)
    written = write_report(night, announce(night))
    assert written.headline.endswith("3 of 4 provisions arrived, 0 of 1 figures hold, 1 incomplete")
    said = text(written.path)
    assert "1 figures are incomplete 数字不完整: lots (210600, 210700 missing). Their values lack what these" in said
    assert "incomplete 不完整 : 210600, 210700 missing" in said, "beside the number"
    assert "no line in the registry" not in said
    assert "No rows 无数据" not in said

    builder.missing, builder.has_figures = "", False
    with warehouse.connect("ingest") as db:
        open_night(db, "run-2", NEXT)
        ledger.close_night(db, "run-2", closed_at=CLOSED, is_quorum_met=True, verdict={})
    cycle(one, NEXT, "run-2")
    said = text(write_report("run-2").path)
    assert "There are no figures (无公布数字): publication 2 holds none." in said
    assert "No rows 无数据: rpt_published_figure. Readers see these marts, and nothing in them" in said
    assert "incomplete" not in said.split("The published figures")[1].split("What changed since")[0]


def test_a_later_publication_of_the_same_night_keeps_the_earlier_report(warehouse, night, builder) -> None:
    one = publisher(builder)
    unpublished = write_report(night).path
    for run in (night, "run-2"):
        with warehouse.connect("ingest") as db:
            if run != night:
                open_night(db, run, NIGHT)
            ledger.close_night(db, run, closed_at=CLOSED, is_quorum_met=True, verdict={})
        built = one.build(NIGHT, run)
        one.audit(built.build_id)
        one.publish(built.build_id, run)
        last = write_report(run)
        assert write_report(run).kept is None, "the same publication's report is written anew"
    assert last.path == unpublished
    assert last.kept == reports_dir() / f"{NIGHT}.publication-1.html"
    assert "publication 1" in text(last.kept)
    assert "published as publication 2" in text(last.path)
    names = sorted(file.name for file in reports_dir().glob("*.html"))
    assert names == [f"{NIGHT}.html", f"{NIGHT}.publication-1.html", "index.html"]
    assert f'href="{NIGHT}.publication-1.html"' in (reports_dir() / "index.html").read_text(encoding="utf-8")


def test_a_report_that_fails_is_loud_and_takes_nothing_back(warehouse, night, builder) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    from yingshang.orchestrate import steps

    cycle(publisher(builder))
    reports_dir().write_text("a file where the folder should be")
    with pytest.raises(AirflowFailException, match="reports"):
        steps.announce(night)
    with warehouse.connect("bi_reader") as reader:
        assert reader.execute("select publication_id from marts.publication").fetchone() == (1,)
    reports_dir().unlink()
    assert Path(steps.announce(night)["report"]).exists()


def test_a_failed_build_a_stopped_gate_and_a_late_night_say_so(warehouse, night, builder) -> None:
    builder.error = "the model fct_deal failed\nwith details"
    with pytest.raises(BuildError):
        publisher(builder).build(NIGHT, night)
    assert "build 1 failed: see the log of the task build; readers have nothing yet" in write_report(night).headline
    builder.error = None
    stopped = publisher(builder, audit=lambda build_id: Verdict(False, "the sums differ"))
    built = stopped.build(NIGHT, night)
    with pytest.raises(AuditFailed):
        stopped.audit(built.build_id)
    with warehouse.connect("publish") as db:
        db.execute(
            "insert into ops.check_result (run_id, stage, suite, expectation, severity, is_success, build_id, message)"
            " values (%s, 'publish', 'fct_deal', 'sums', 'stop', false, %s, 'sums of fct_deal differ by 3')",
            (night, built.build_id),
        )
    stops = write_report(night).headline
    assert "the publish gate stopped build 2: sums of fct_deal differ by 3; readers have nothing yet" in stops
    with warehouse.connect("ingest") as db:
        open_night(db, "early", NIGHT - dt.timedelta(days=1))
    cycle(publisher(builder))
    assert "published as publication 1" in write_report(night).headline, "mended by hand"
    assert f"night {NIGHT} was published before" in write_report("early").headline


def test_by_hand_it_prints_the_path_and_explains_what_is_not_there(warehouse, night, capsys, monkeypatch) -> None:
    def cli(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(("report", *arguments))
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out.strip(), err.strip()

    assert cli()[:2] == (0, str(reports_dir() / f"{NIGHT}.html"))
    assert cli("--night", "2020-01-01")[2] == "error: no run of night 2020-01-01 in the ledger: see `yingshang status`"
    assert cli("--night", "13.8.2024")[0] == 2
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE_INGEST", "postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(WarehouseUnavailable, match="does not answer"):
        write_report(night)
    code, out, err = cli()
    assert (code, out) == (1, "")
    assert "does not answer" in err
