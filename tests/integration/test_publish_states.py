"""The publisher's state machine: what may follow what, what is refused, what readers see meanwhile."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from tests.support.publishing import MARTS, NIGHT, SqlBuilder, Verdict, cycle, publisher

from yingshang.contracts.registry import Provision
from yingshang.errors import AuditFailed, BuildError, PublicationPostponed, UsageError
from yingshang.publish.model import BreakingChange, Limits


def live_build(warehouse) -> int | None:
    """What a BI tool sees: one build in every mart."""
    with warehouse.connect("bi_reader") as conn:
        ids = {
            conn.execute(f"select min(_build_id), max(_build_id) from marts.{mart}").fetchone() for mart in MARTS
        } | {conn.execute("select min(build_id), max(build_id) from marts.publication").fetchone()}
    (pair,) = ids
    assert pair[0] == pair[1]
    return pair[0]


def states(warehouse) -> dict[str, tuple[str, int]]:
    with warehouse.connect("publish") as conn:
        return {slot: (state, seq) for slot, state, seq in conn.execute("select slot, state, seq from ops.slot")}


def admit_a_batch(warehouse, night: dt.date = NIGHT, node_code: str = "210100", run_id: str = "r") -> None:
    """One more event, so that seqs move."""
    with warehouse.connect("ingest") as conn:
        conn.execute(
            "insert into ops.night_run (run_id, night) values (%s, %s) on conflict do nothing", (run_id, night)
        )
        row = conn.execute(
            "insert into ops.batch (batch_id, run_id, night, system, dataset, node_code, kind, source_rows, raw_rows,"
            " quarantined_rows, duplicate_rows, contract_version, started_at)"
            " values (nextval('ops.batch_id_seq'), %s, %s, 'trading', 'lot', %s, 'window', 0, 0, 0, 0, '1', now())"
            " on conflict do nothing returning batch_id",
            (run_id, night, node_code),
        ).fetchone()
        assert row is not None
        conn.execute("select ops.record_events(array[%s::bigint], 'admitted', 'test', 'test')", row)


def test_slots_take_turns_and_build_on_what_they_hold(warehouse) -> None:
    builder = SqlBuilder()
    one = publisher(builder)
    for night in (13, 14, 15, 16):
        admit_a_batch(warehouse, dt.date(2024, 8, night), run_id=f"r{night}")
        cycle(one, dt.date(2024, 8, night))
    assert [(one.slot, one.kind, one.from_seq, one.to_seq) for one in builder.builds] == [
        ("slot_a", "full", 0, 1),
        ("slot_b", "full", 0, 2),
        ("slot_a", "incremental", 1, 3),
        ("slot_b", "incremental", 2, 4),
    ]
    assert states(warehouse) == {"slot_a": ("idle", 3), "slot_b": ("live", 4)}
    assert live_build(warehouse) == 4


def test_a_build_in_full_can_be_asked_for(warehouse) -> None:
    builder = SqlBuilder()
    one = publisher(builder)
    for _ in range(2):
        admit_a_batch(warehouse, run_id=str(len(builder.builds)))
        cycle(one)
    report = one.build(NIGHT, "test", full=True)
    assert (report.kind, report.from_seq, report.to_seq, report.reason) == ("full", 0, 2, "asked for")


def test_a_failed_build_publishes_nothing_and_the_next_takes_its_events_in(warehouse) -> None:
    builder = SqlBuilder()
    one = publisher(builder)
    for run in "abc":
        admit_a_batch(warehouse, run_id=run)
        cycle(one)
    admit_a_batch(warehouse, run_id="d")
    builder.error = "model fct_offer: division by zero"
    with pytest.raises(BuildError, match="night 2024-08-13 in slot_b failed: model fct_offer: division by zero"):
        one.build(NIGHT, "test")
    assert states(warehouse)["slot_b"] == ("bad", 2)
    assert live_build(warehouse) == 3
    builder.error = None
    built, _ = cycle(one)
    assert (built.slot, built.kind, built.from_seq, built.to_seq) == ("slot_b", "incremental", 2, 4)
    assert live_build(warehouse) == built.build_id


def test_after_a_failure_with_other_code_the_slot_is_built_in_full(warehouse) -> None:
    """What the other code has left in the slot is not what this code would have made."""
    builder = SqlBuilder()
    one = publisher(builder)
    for run in "abc":
        admit_a_batch(warehouse, run_id=run)
        cycle(one)
    builder.code_version, builder.error = "sql-2", "broken"
    with pytest.raises(BuildError):
        one.build(NIGHT, "test")
    builder.code_version, builder.error = "sql-1", None
    built, _ = cycle(one)
    assert (built.slot, built.kind, built.reason) == (
        "slot_b", "full", "code sql-2 was tried in it since its last success",
    )  # fmt: skip


def test_an_exception_in_the_builder_is_a_failed_build(warehouse) -> None:
    def stumble(build) -> None:
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        publisher(SqlBuilder(during=stumble)).build(NIGHT, "test")
    with warehouse.connect("publish") as conn:
        outcome, error = conn.execute("select outcome, error from ops.build").fetchone()
    assert (outcome, error) == ("failed", "RuntimeError: disk full")


def test_a_failed_audit_changes_nothing_for_readers(warehouse) -> None:
    one = publisher()
    cycle(one)
    strict = publisher(audit=lambda build_id: Verdict(False, "fct_deal: 3 amounts are negative"))
    built = strict.build(NIGHT, "test")
    with pytest.raises(AuditFailed, match=r"stopped build 2 .*3 amounts are negative"):
        strict.audit(built.build_id)
    assert live_build(warehouse) == 1
    with pytest.raises(UsageError, match="bad"):
        one.publish(built.build_id, "test")
    assert live_build(warehouse) == 1
    rebuilt, _ = cycle(one)
    assert rebuilt.slot == "slot_b"
    assert live_build(warehouse) == rebuilt.build_id


def test_nothing_is_published_without_its_audit(warehouse) -> None:
    one = publisher()
    built = one.build(NIGHT, "test")
    with pytest.raises(UsageError, match="audit it first"):
        one.publish(built.build_id, "test")


def test_a_build_that_was_replaced_is_not_published_but_the_one_that_contains_it(warehouse) -> None:
    builder = SqlBuilder()
    one = publisher(builder)
    cycle(one)
    first = one.build(NIGHT, "test")
    second = one.build(NIGHT, "test")
    assert one.audit(first.build_id).build_id == second.build_id
    assert one.publish(first.build_id, "test").build_id == second.build_id
    assert one.audit(first.build_id).summary == f"already published: build {second.build_id}, which contains build 2"
    builder.error = "broken"
    with pytest.raises(BuildError):
        one.build(NIGHT, "test")
    with pytest.raises(UsageError, match="build 4 is in no slot"):
        one.audit(4)


def test_publishing_again_changes_nothing(warehouse) -> None:
    one = publisher()
    built, published = cycle(one)
    assert one.publish(built.build_id, "retry").publication_id == published.publication_id
    assert one.audit(built.build_id).passed
    with warehouse.connect("publish") as conn:
        assert conn.execute("select count(*) from ops.publication").fetchone() == (1,)


def test_a_night_older_than_the_published_one_is_not_built(warehouse) -> None:
    one = publisher()
    cycle(one)
    report = one.build(NIGHT - dt.timedelta(days=1), "backfill")
    assert report.build_id is None
    assert "night 2024-08-13 is published" in report.reason
    assert one.audit(report.build_id).passed
    assert one.publish(report.build_id, "backfill").publication_id is None
    assert live_build(warehouse) == 1


def test_a_night_in_the_future_is_refused(warehouse) -> None:
    with pytest.raises(UsageError, match="has not ended"):
        publisher().build(dt.date(2999, 1, 1), "test")


def test_rollback_shows_the_night_before_and_mistrusts_the_slot(warehouse) -> None:
    builder = SqlBuilder()
    one = publisher(builder)
    admit_a_batch(warehouse)
    cycle(one, NIGHT)
    cycle(one, NIGHT + dt.timedelta(days=1))
    back = one.rollback("the new figures are wrong")
    assert (back.kind, back.build_id, back.night, back.reason) == ("rollback", 1, NIGHT, "the new figures are wrong")
    assert live_build(warehouse) == 1
    assert states(warehouse) == {"slot_a": ("live", 1), "slot_b": ("bad", 0)}
    with pytest.raises(UsageError, match="slot_b is bad"):
        one.rollback("again")
    built, _ = cycle(one, NIGHT + dt.timedelta(days=1))
    assert (built.slot, built.kind) == ("slot_b", "full")
    assert live_build(warehouse) == built.build_id


def test_rollback_is_refused_before_there_is_anything_to_go_back_to(warehouse) -> None:
    one = publisher()
    with pytest.raises(UsageError, match="nothing has been published"):
        one.rollback("why not")
    cycle(one)
    with pytest.raises(UsageError, match="slot_b is empty"):
        one.rollback("why not")


def test_rollback_is_refused_once_the_slot_is_built_anew(warehouse) -> None:
    one = publisher()
    cycle(one)
    cycle(one)
    one.build(NIGHT, "test")
    with pytest.raises(UsageError, match="slot_a is attached"):
        one.rollback("too late")
    assert live_build(warehouse) == 2


def test_a_new_column_is_served_with_the_publication_that_brings_it(warehouse) -> None:
    builder = SqlBuilder()
    one = publisher(builder)
    cycle(one)
    cycle(one)
    builder.columns["currency_code"] = "varchar(3)"
    built = one.build(NIGHT, "test")
    one.audit(built.build_id)
    with warehouse.connect("bi_reader") as conn:
        assert "currency_code" not in names(conn, "fct_deal")
    one.publish(built.build_id, "test")
    with warehouse.connect("bi_reader") as conn:
        assert names(conn, "fct_deal") == ["deal_key", "amount_yuan", "_slot", "_build_id", "currency_code"]
        assert conn.execute("select count(*) from marts.fct_deal where currency_code is null").fetchone() == (40,)
    cycle(one)
    cycle(one)
    assert live_build(warehouse) == 5


def names(conn, mart: str) -> list[str]:
    return [column.name for column in conn.execute(f"select * from marts.{mart} limit 0").description]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "fct_deal lost amount_yuan"),
        ({"amount_yuan": "numeric(18,4)"}, r"fct_deal.amount_yuan was numeric\(18,2\) and is numeric\(18,4\)"),
    ],
)
def test_a_change_that_would_break_readers_is_refused(warehouse, columns, message) -> None:
    builder = SqlBuilder()
    one = publisher(builder)
    cycle(one)
    cycle(one)
    builder.columns = columns
    with pytest.raises(BreakingChange, match=message):
        one.build(NIGHT, "test")
    assert live_build(warehouse) == 2
    builder.columns = {"amount_yuan": "numeric(18,2)"}
    cycle(one)
    assert live_build(warehouse) == 4


def test_a_mart_that_vanishes_is_refused_until_it_is_retired(warehouse) -> None:
    builder = SqlBuilder()
    one = publisher(builder)
    cycle(one)
    cycle(one)
    builder.marts = MARTS[:2]
    with pytest.raises(BreakingChange, match="rpt_total: served to readers, but no longer among the marts"):
        one.build(NIGHT, "test")
    one.retire("rpt_total", "replaced by rpt_month")
    cycle(one)
    with warehouse.connect("publish") as conn:
        assert conn.execute("select to_regclass('marts.rpt_total'), to_regclass('serve.rpt_total')").fetchone() == (
            None,
            None,
        )


def test_a_new_mart_appears_with_the_publication_that_brings_it(warehouse) -> None:
    builder = SqlBuilder(marts=MARTS[:2])
    one = publisher(builder)
    cycle(one)
    builder.marts = MARTS
    built = one.build(NIGHT, "test")
    one.audit(built.build_id)
    with warehouse.connect("publish") as conn:
        assert conn.execute("select to_regclass('marts.rpt_total')").fetchone() == (None,)
    one.publish(built.build_id, "test")
    assert live_build(warehouse) == built.build_id


def test_a_mart_built_by_somebody_else_is_not_published(warehouse) -> None:
    """dbt run by hand on an attached slot, or rows of a build that is not in the ledger."""
    one = publisher()
    built = one.build(NIGHT, "test")
    one.audit(built.build_id)
    with warehouse.connect("transform") as conn:
        conn.execute("update slot_a.fct_offer set _build_id = 77 where deal_key = 3")
    with pytest.raises(BuildError, match="rows of another build than 1 in fct_offer"):
        one.publish(built.build_id, "test")
    cycle(one)
    assert live_build(warehouse) == 2


def test_a_forgotten_mart_is_not_published(warehouse) -> None:
    one = publisher()
    cycle(one)
    built = one.build(NIGHT, "test")
    one.audit(built.build_id)
    with warehouse.admin() as admin:
        admin.execute("alter table serve.fct_offer detach partition slot_b.fct_offer")
    with pytest.raises(BuildError, match="slot_b is not attached to fct_offer"):
        one.publish(built.build_id, "test")
    assert live_build(warehouse) == 1


def test_comments_of_the_marts_reach_readers(warehouse) -> None:
    cycle(publisher())
    with warehouse.connect("bi_reader") as conn:
        assert conn.execute(
            "select obj_description('marts.fct_deal'::regclass), col_description('marts.fct_deal'::regclass, 1)"
        ).fetchone() == ("fct_deal: one row per deal", "The deal.")


def test_missing_nodes_are_named_in_the_publication(warehouse) -> None:
    owed = tuple(
        Provision("trading", "lot", node, "postgres", "", "daily", NIGHT) for node in ("210100", "210102", "210200")
    )
    one = publisher(provisions=lambda night: owed)
    admit_a_batch(warehouse, node_code="210100")
    with warehouse.connect("ingest") as conn:
        conn.execute(
            "insert into ops.provision_run (run_id, system, dataset, node_code, outcome)"
            " values ('r', 'trading', 'lot', '210102', 'nothing_to_send'), ('r', 'trading', 'lot', '210200', 'failed')"
        )
    _, published = cycle(one)
    assert published.missing_nodes == {"trading": ["210200"]}
    with warehouse.connect("bi_reader") as conn:
        assert conn.execute("select night, missing_nodes from marts.publication").fetchone() == (
            NIGHT,
            {"trading": ["210200"]},
        )


def test_two_publishers_take_turns(warehouse) -> None:
    started, go_on = Event(), Event()

    def linger(build) -> None:
        started.set()
        assert go_on.wait(20)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(publisher(SqlBuilder(during=linger)).build, NIGHT, "first")
        assert started.wait(20)
        with pytest.raises(PublicationPostponed, match=r"another publisher \(pid \d+"):
            publisher(limits=Limits(0.1, 0.5)).build(NIGHT, "second")
        third = pool.submit(publisher().build, NIGHT, "third")
        go_on.set()
        assert first.result(timeout=20).build_id == 1
        assert third.result(timeout=20).build_id == 2


def test_results_of_nodes_are_in_the_ledger(warehouse) -> None:
    cycle(publisher())
    with warehouse.connect("publish") as conn:
        rows = conn.execute("select node_id, status, rows_affected from ops.dbt_result order by 1").fetchall()
    assert rows == [(f"model.{mart}", "success", 40) for mart in MARTS]
