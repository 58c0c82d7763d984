"""dbt as the builder: what is built on, what is rebuilt, what stops it. A project of three small marts."""

import shutil
from pathlib import Path

import pytest
from tests.support.publishing import MARTS, NIGHT, Verdict, cycle, eight_readers, publisher

from yingshang.errors import BuildError
from yingshang.publish.dbt_runner import DbtBuilder

PERSON = "王小明 13900001111"
TINY = Path(__file__).parent / "tiny_dbt"


@pytest.fixture
def project(warehouse, tmp_path) -> Path:
    """The small dbt project, with forty deals in raw."""
    with warehouse.admin() as admin:
        admin.execute("create table raw.tiny (deal_key int, amount_yuan numeric, seq bigint)")
        admin.execute("grant select on raw.tiny to yingshang_transform")
        admin.execute("insert into raw.tiny select n, n * 10, 0 from generate_series(1, 40) as n")
    return Path(shutil.copytree(TINY, tmp_path / "project", ignore=shutil.ignore_patterns("target", "logs")))


def dbt_publisher(project: Path):
    return publisher(DbtBuilder(project), audit=lambda build_id: Verdict(True))


def event(warehouse, deal_key: int) -> None:
    """A batch with one new deal is admitted."""
    with warehouse.admin() as admin:
        admin.execute("insert into ops.night_run (run_id, night) values ('r', '2024-08-13') on conflict do nothing")
        admin.execute(
            "insert into ops.batch (batch_id, run_id, night, system, dataset, node_code, kind, source_rows, raw_rows,"
            " quarantined_rows, duplicate_rows, contract_version, started_at)"
            " values (%(key)s, 'r', '2024-08-13', 'trading', 'lot', %(key)s::text, 'window', 1, 1, 0, 0, '1', now())",
            {"key": deal_key},
        )
        (seq,) = admin.execute(
            "select seq from ops.record_events(array[%s::bigint], 'admitted', 'test', 'test')", (deal_key,)
        ).fetchone()
        admin.execute("insert into raw.tiny values (%s, 1, %s)", (deal_key, seq))


def builds_of_rows(warehouse, mart: str = "fct_deal") -> dict[int, int]:
    """Build -> rows that it wrote, as readers see them."""
    with warehouse.connect("bi_reader") as conn:
        return dict(conn.execute(f"select _build_id, count(*) from marts.{mart} group by 1 order by 1").fetchall())


def edit(project: Path, name: str, old: str, new: str) -> None:
    file = next(project.rglob(name))
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_builds_on_what_a_slot_holds_and_rebuilds_what_has_changed(warehouse, project) -> None:
    one = dbt_publisher(project)
    for key in (101, 102):  # both slots in full
        event(warehouse, key)
        built, _ = cycle(one)
        assert (built.kind, built.marts) == ("full", MARTS)
    event(warehouse, 103)
    built, _ = cycle(one)
    assert (built.kind, built.from_seq, built.to_seq, built.rebuilt) == ("incremental", 1, 3, ())
    assert builds_of_rows(warehouse) == {1: 41, 3: 2}
    assert builds_of_rows(warehouse, "rpt_total") == {3: 43}

    edit(project, "fct_deal.sql", "v.amount_yuan::", "(v.amount_yuan * 2)::")
    event(warehouse, 104)
    built, _ = cycle(one)
    assert (built.kind, built.slot, built.rebuilt) == ("incremental", "slot_b", ("fct_deal", "rpt_total"))
    assert builds_of_rows(warehouse) == {4: 44}
    with warehouse.connect("bi_reader") as conn:
        assert conn.execute("select amount_yuan from marts.fct_deal where deal_key = 40").fetchone() == (800,)

    built, _ = cycle(one)  # the other slot has the old code: its manifest says so
    assert (built.slot, built.rebuilt) == ("slot_a", ("fct_deal", "rpt_total"))
    built, _ = cycle(one)
    assert (built.slot, built.rebuilt) == ("slot_b", ())
    with warehouse.connect("publish") as conn:
        versions = [row[0] for row in conn.execute("select code_version from ops.build order by build_id")]
    assert versions[0] == versions[2] != versions[3] == versions[5]


def test_a_lost_manifest_means_a_full_build(warehouse, project) -> None:
    one = dbt_publisher(project)
    event(warehouse, 101)
    cycle(one)
    cycle(one)
    shutil.rmtree(warehouse.state / "dbt")
    built, _ = cycle(one)
    assert (built.kind, built.reason) == ("full", "the manifest of build 1 is not here")


def test_a_failed_model_is_named_and_nothing_is_published(warehouse, project) -> None:
    one = dbt_publisher(project)
    cycle(one)
    edit(project, "fct_offer.sql", "v.amount_yuan::", "(v.amount_yuan / (v.deal_key - 3))::")
    with pytest.raises(BuildError, match=r"slot_b failed: tiny\.fct_offer: .*division by zero"):
        one.build(NIGHT, "test")
    with warehouse.connect("publish") as conn:
        assert dict(
            conn.execute("select node_id, status from ops.dbt_result where build_id = 2 and status = 'error'")
        ) == {"model.tiny.fct_offer": "error"}
    assert builds_of_rows(warehouse) == {1: 40}


def test_a_value_that_a_model_could_not_cast_reaches_no_log(warehouse, project, capfd, caplog) -> None:
    one = dbt_publisher(project)
    with warehouse.admin() as admin:
        admin.execute("alter table raw.tiny add column title text default '1'")
        admin.execute("insert into raw.tiny values (41, 1, 0, %s)", (f'the "petition" of {PERSON}',))
    edit(project, "visible.sql", "select ", "select title, ")
    edit(project, "fct_offer.sql", "v.amount_yuan::", "v.title::")
    with pytest.raises(BuildError, match=r'tiny\.fct_offer: .*invalid input syntax for type numeric: "…"') as failed:
        one.build(NIGHT, "test")
    with warehouse.admin() as admin:
        told = admin.execute("select message from ops.dbt_result union all select error from ops.build").fetchall()
    said = capfd.readouterr()
    left = [file for file in (warehouse.state / "dbt").rglob("*") if file.is_file()]
    assert any(file.name == "dbt.log" and "invalid input syntax" in file.read_text() for file in left)
    assert PERSON.encode() not in b"".join(file.read_bytes() for file in left)
    assert PERSON not in f"{failed.value} {told} {said.out} {said.err} {caplog.text}"


def test_a_failed_data_test_stops_the_build_and_is_a_check_result(warehouse, project) -> None:
    one = dbt_publisher(project)
    with warehouse.admin() as admin:
        admin.execute("insert into raw.tiny values (7, 1, 0)")
    with pytest.raises(BuildError, match=r"unique_fct_deal_deal_key.*; 1 nodes skipped"):
        one.build(NIGHT, "night-13")
    with warehouse.connect("publish") as conn:
        checks = conn.execute(
            "select run_id, stage, suite, expectation, severity, is_success, build_id from ops.check_result"
        ).fetchall()
    assert checks == [("night-13", "dbt", "fct_deal", "unique_fct_deal_deal_key", "stop", False, 1)]


def test_a_project_that_does_not_parse_leaves_the_slots_alone(warehouse, project) -> None:
    one = dbt_publisher(project)
    cycle(one)
    cycle(one)
    edit(project, "fct_offer.sql", 'ref("visible")', 'ref("nowhere")')
    with pytest.raises(BuildError, match=r"dbt parse of .* failed: .*nowhere"):
        one.build(NIGHT, "test")
    with warehouse.connect("publish") as conn:
        assert conn.execute("select array_agg(state order by slot) from ops.slot").fetchone() == (["idle", "live"],)


def test_a_mart_that_is_a_view_is_refused(warehouse, project) -> None:
    edit(project, "dbt_project.yml", "+materialized: table", "+materialized: view")
    with pytest.raises(BuildError, match=r"only tables can be served.*fct_offer \(view\), rpt_total \(view\)"):
        dbt_publisher(project).build(NIGHT, "test")


def test_eight_readers_through_builds_of_dbt(warehouse, project) -> None:
    one = dbt_publisher(project)
    # whole tables, so that every row carries its build: that is what the readers look at
    edit(project, "fct_deal.sql", 'materialized="incremental"', 'materialized="table"')
    cycle(one)
    with eight_readers() as tally:
        for _ in range(4):
            cycle(one)
    assert (tally.mixed, tally.failed) == ([], [])
    assert len(tally.builds) >= 4
