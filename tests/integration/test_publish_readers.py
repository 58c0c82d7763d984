"""Readers see whole nights (I5): eight of them through a hundred publications. Without one of the steps it goes red."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from tests.support.publishing import NIGHT, NoDetachWait, NoFlipWait, SqlBuilder, cycle, eight_readers, publisher

from yingshang.errors import PublicationPostponed
from yingshang.publish.model import Limits
from yingshang.publish.readers import ReaderGuard

CYCLES = 100


def test_eight_readers_see_one_build_each_through_a_hundred_publications(warehouse, record_property) -> None:
    one = publisher()
    cycle(one)
    waits = []
    with eight_readers() as tally:
        for _ in range(CYCLES):
            built, published = cycle(one)
            waits.append(built.waited_seconds + published.waited_seconds)
    print(
        f"\n{CYCLES} cycles, {tally.reads} reads: {len(tally.mixed)} mixed, {len(tally.failed)} failed; worst read"
        f" {tally.worst_seconds:.3f} s, worst wait of the publisher {max(waits):.3f} s"
    )
    record_property("worst_read_seconds", tally.worst_seconds)
    assert tally.failed == []
    assert tally.mixed == []
    assert tally.reads > 8 * CYCLES
    assert len(tally.builds) > CYCLES / 2
    with warehouse.connect("publish") as conn:
        assert conn.execute("select count(*) from ops.ended_reader").fetchone() == (0,)
        assert conn.execute("select count(*) from ops.publication").fetchone() == (CYCLES + 1,)


@pytest.mark.parametrize("guard", [ReaderGuard(), NoFlipWait()], ids=["all steps", "without step 6"])
def test_readers_that_think_see_a_mixture_only_without_the_wait_before_the_flip(warehouse, guard) -> None:
    """Negative control: the same readers, with a pause between their statements, notice when step 6 is left out."""
    one = publisher(guard=guard)
    cycle(one)
    with eight_readers(pause=0.6) as tally:  # longer than from attach to flip
        for _ in range(4):
            cycle(one)
    assert tally.failed == []
    assert bool(tally.mixed) == isinstance(guard, NoFlipWait)


def test_new_columns_arrive_while_readers_read(warehouse) -> None:
    """Columns are added under short locks that give way to readers, never the other way round."""
    builder = SqlBuilder()
    one = publisher(builder)
    cycle(one)
    with eight_readers() as tally:
        for number in range(4):
            builder.columns[f"extra_{number}"] = "text"
            cycle(one)
    assert (tally.mixed, tally.failed) == ([], [])
    assert tally.worst_seconds < 2


def test_a_mart_without_its_slot_filter_shows_two_builds(warehouse) -> None:
    """Negative control: the readers above notice a view that forgets the slot; the next publication mends it."""
    one = publisher()
    cycle(one)
    cycle(one)
    with warehouse.admin() as admin:
        admin.execute("create or replace view marts.fct_offer as select * from serve.fct_offer")
    with eight_readers() as tally:
        time.sleep(1)
    assert tally.mixed
    cycle(one)
    with eight_readers() as tally:
        cycle(one)
    assert tally.mixed == []


@contextmanager
def in_background(work: Callable[[], Any]) -> Iterator[Future[Any]]:
    """Run something beside the test; it has ended when the block is left."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(work)


def still_running(work: Future[Any], seconds: float = 1.0) -> bool:
    return not wait([work], timeout=seconds).done


def open_transaction(warehouse, isolation: str, first: str):
    """A BI reader in the middle of a transaction, whose statements are prepared."""
    conn = warehouse.connect("bi_reader", autocommit=True)
    conn.prepare_threshold = 0
    conn.execute(f"begin isolation level {isolation}")
    return conn, conn.execute(first).fetchone()


def test_a_transaction_that_knows_the_old_partitions_holds_up_the_flip(warehouse) -> None:
    """Its prepared statement runs with the partitions that it knew: after a flip it would find nothing."""
    one = publisher()
    cycle(one)

    def build_while_read(build) -> None:
        readers.append(open_transaction(warehouse, "read committed", "select count(*) from marts.fct_deal"))

    readers: list = []
    built = publisher(SqlBuilder(during=build_while_read)).build(NIGHT, "test")
    one.audit(built.build_id)
    conn, before = readers[0]
    assert before == (40,)
    with in_background(lambda: one.publish(built.build_id, "test")) as publishing:
        assert still_running(publishing)
        assert conn.execute("select count(*) from marts.fct_deal").fetchone() == (40,)
        conn.execute("commit")
        assert publishing.result(timeout=20).build_id == built.build_id
    conn.close()


def test_without_the_wait_that_transaction_finds_an_empty_mart(warehouse) -> None:
    one = publisher(guard=NoFlipWait())
    cycle(one)
    readers: list = []

    def build_while_read(build) -> None:
        readers.append(open_transaction(warehouse, "read committed", "select count(*) from marts.fct_deal"))

    reckless = publisher(SqlBuilder(during=build_while_read), guard=NoFlipWait())
    cycle(reckless)
    conn, before = readers[0]
    assert before == (40,)
    assert conn.execute("select count(*) from marts.fct_deal").fetchone() == (0,)
    conn.close()


SLOW_PLAN = "select count(*), min(_build_id) from marts.fct_deal where deal_key < slow.to_plan()"


@pytest.fixture
def slow_function(warehouse) -> None:
    """A stable function: the planner calls it, after it has looked up the partitions."""
    with warehouse.admin() as admin:
        admin.execute(
            "create schema slow; grant usage on schema slow to public;"
            " create function slow.to_plan() returns int stable language sql"
            " as $$ select 100 from pg_sleep(case when current_setting('test.slept', true) = 'yes' then 0 else 2 end),"
            " set_config('test.slept', 'yes', false) $$"
        )


def publish_during_a_slow_plan(warehouse, one) -> tuple[int, int | None]:
    """A statement is planned before the attach and takes its snapshot after the flip, unless the flip waits for it."""
    cycle(one)

    def read() -> Any:
        with warehouse.connect("bi_reader", autocommit=True) as conn:
            conn.prepare_threshold = None
            return conn.execute(SLOW_PLAN).fetchone()

    reading: list[Future[Any]] = []
    pool = ThreadPoolExecutor(1)

    def start_reader(build) -> None:
        reading.append(pool.submit(read))
        time.sleep(0.7)

    one._builder.during = start_reader
    cycle(one)
    with pool:
        return reading[0].result(timeout=20)


def test_a_statement_planned_before_the_attach_holds_up_the_flip(warehouse, slow_function) -> None:
    assert publish_during_a_slow_plan(warehouse, publisher())[0] == 40


def test_without_the_wait_that_statement_finds_an_empty_mart(warehouse, slow_function) -> None:
    assert publish_during_a_slow_plan(warehouse, publisher(guard=NoFlipWait()))[0] == 0


def test_a_build_waits_for_a_reader_of_the_last_but_one_publication(warehouse) -> None:
    """The reader has its snapshot, but holds no lock on any mart that a detach would wait for."""
    one = publisher()
    first, _ = cycle(one)
    conn, _ = open_transaction(warehouse, "repeatable read", "select 1")
    cycle(one)
    with in_background(lambda: one.build(NIGHT, "test")) as building:
        assert still_running(building)
        assert conn.execute("select max(_build_id) from marts.fct_deal").fetchone() == (first.build_id,)
        conn.execute("commit")
        assert building.result(timeout=20).build_id
    conn.close()


def test_without_that_wait_the_reader_loses_its_marts(warehouse) -> None:
    """Negative control of step 1."""
    one = publisher(guard=NoDetachWait())
    cycle(one)
    conn, _ = open_transaction(warehouse, "repeatable read", "select 1")
    cycle(one)
    one.build(NIGHT, "test")
    assert conn.execute("select max(_build_id) from marts.fct_deal").fetchone() == (None,)
    conn.close()


def test_a_long_writer_does_not_make_young_readers_look_old(warehouse) -> None:
    """A writer that is open since before the flip holds the xmin of all younger snapshots down."""
    one = publisher()
    cycle(one)
    with warehouse.connect("ingest") as writer:
        writer.execute("insert into ops.night_run (run_id, night) values ('long', '2024-08-13')")
        cycle(one)
        with eight_readers() as tally:
            for _ in range(3):
                cycle(one)
    assert (tally.mixed, tally.failed) == ([], [])


def test_a_bi_reader_past_the_limit_is_ended_and_recorded(warehouse) -> None:
    one = publisher(limits=Limits(reader_wait=0.5, publish_wait=30))
    cycle(one)
    conn, _ = open_transaction(warehouse, "repeatable read", "select 1")
    cycle(one)
    one.build(NIGHT, "test")
    with pytest.raises(psycopg.OperationalError):
        conn.execute("select 1")
    with warehouse.connect("publish") as ledger:
        role, reason, waited = ledger.execute(
            "select role_name, reason, waited_seconds from ops.ended_reader"
        ).fetchone()
    assert role == "yingshang_bi_reader"
    assert "older than the last publication" in reason
    assert waited >= 0.5


def test_another_reader_past_the_limit_postpones_and_is_named(warehouse) -> None:
    """An administrator's session is nobody the publisher may end."""
    one = publisher(limits=Limits(reader_wait=0.2, publish_wait=1))
    cycle(one)
    with warehouse.admin() as admin:
        admin.execute("begin isolation level repeatable read")
        admin.execute("select 1")
        cycle(one)
        pid = admin.info.backend_pid
        with pytest.raises(PublicationPostponed, match=f"pid {pid} .*End these sessions"):
            one.build(NIGHT, "test")
        admin.execute("commit")
    assert cycle(one)[1].kind == "publish"


def test_a_detach_past_the_limit_postpones_and_the_next_build_completes_it(warehouse) -> None:
    one = publisher(limits=Limits(reader_wait=0.2, publish_wait=1))
    cycle(one)
    cycle(one)
    with warehouse.admin() as admin:
        admin.execute("begin")
        admin.execute("select count(*) from marts.fct_deal")  # no snapshot is held, but a lock
        with pytest.raises(PublicationPostponed, match="fct_deal"):
            one.build(NIGHT, "test")
        assert pending(warehouse) == ["fct_deal"]
        admin.execute("commit")
    cycle(one)
    assert pending(warehouse) == []


def pending(warehouse) -> list[str]:
    with warehouse.admin() as admin:
        rows = admin.execute("select inhrelid::regclass::text from pg_inherits where inhdetachpending").fetchall()
    return [str(row[0]).split(".")[-1] for row in rows]
