"""Invariant I3: seqs become visible in the order of their numbers, so no build up to max(seq) misses a batch."""

import random
import threading
import time
from datetime import UTC, date, datetime

import psycopg
import pytest

from yingshang.warehouse import ledger, session

NIGHT = date(2024, 8, 13)
WITHOUT_LOCK = """
create sequence ops.unordered_seq;
grant usage on sequence ops.unordered_seq to yingshang_ingest;
create or replace function ops.record_events(
    batch_ids bigint[], event text, reason text, actor text default current_user
)
returns table (seq bigint, batch_id bigint) language sql as $$
    insert into ops.batch_event (seq, batch_id, event, reason, actor)
    select nextval('ops.unordered_seq'), b.id, record_events.event, record_events.reason, record_events.actor
    from unnest(batch_ids) as b (id)
    returning batch_event.seq, batch_event.batch_id
$$
"""


def add_batches(number: int) -> list[int]:
    with session("ingest") as connection:
        ledger.open_night(connection, "run", NIGHT)
        ids = [ledger.next_batch_id(connection) for _ in range(number)]
        for one in ids:
            ledger.insert_batch(
                connection,
                ledger.NewBatch(
                    batch_id=one, run_id="run", night=NIGHT, system="trading", dataset="lot", node_code=f"{one:06}",
                    kind="window", source_rows=0, raw_rows=0, quarantined_rows=0, duplicate_rows=0,
                    contract_version="1.0.0", started_at=datetime.now(UTC),
                ),
            )  # fmt: skip
    return ids


def test_the_second_waits_for_the_first_to_commit(warehouse) -> None:
    first, second = add_batches(2)
    done = threading.Event()
    got: list[int] = []

    def admit_second() -> None:
        with session("ingest") as connection:
            got.extend(e.seq for e in ledger.record_events(connection, [second], "admitted", reason="", actor="b"))
            done.set()

    with warehouse.connect("ingest") as connection, warehouse.connect("publish", autocommit=True) as builder:
        [event] = ledger.record_events(connection, [first], "admitted", reason="", actor="a")
        thread = threading.Thread(target=admit_second)
        thread.start()
        assert not done.wait(0.5)
        assert ledger.max_seq(builder) == 0
        connection.commit()
        assert done.wait(10)
        thread.join(10)
        assert (event.seq, got) == (1, [2])
        assert ledger.max_seq(builder) == 2


def run_writers_and_watch(warehouse, batch_ids: list[int]) -> int:
    """Four writers admit the batches; how often a build would have started with a hole below its max(seq)."""
    work = list(batch_ids)
    guard = threading.Lock()
    errors: list[BaseException] = []

    def write(seed: int) -> None:
        pause = random.Random(seed)
        try:
            with warehouse.connect("ingest") as connection:
                while True:
                    with guard:
                        if not work:
                            return
                        one = work.pop()
                    ledger.record_events(connection, [one], "admitted", reason="", actor="w")
                    time.sleep(pause.random() * 0.01)
                    connection.commit()
        except psycopg.Error as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    holes = 0
    with warehouse.connect("publish", autocommit=True) as builder:
        while any(thread.is_alive() for thread in threads):
            row = builder.execute("select count(*), coalesce(max(seq), 0) from ops.batch_event").fetchone()
            assert row
            holes += row[0] != row[1]
    for thread in threads:
        thread.join(30)
    assert not errors
    return holes


def test_no_build_ever_sees_a_hole(warehouse) -> None:
    ids = add_batches(60)
    assert run_writers_and_watch(warehouse, ids) == 0
    with warehouse.connect("publish") as connection:
        assert ledger.max_seq(connection) == 60


def test_without_the_lock_a_build_misses_a_batch(warehouse) -> None:
    """Negative control: numbers from a sequence, no lock. A build up to the max it sees never goes back."""
    with warehouse.admin() as admin:
        admin.execute(WITHOUT_LOCK)
    first, second = add_batches(2)
    with (
        warehouse.connect("ingest") as slow,
        warehouse.connect("ingest") as quick,
        warehouse.connect("publish", autocommit=True) as builder,
    ):
        ledger.record_events(slow, [first], "admitted", reason="", actor="a")
        ledger.record_events(quick, [second], "admitted", reason="", actor="b")
        quick.commit()
        built_up_to = ledger.max_seq(builder)
        slow.commit()
        [missed] = ledger.events_of(builder, batch_ids=[first])
        assert missed.seq <= built_up_to


def test_another_isolation_level_is_refused(warehouse) -> None:
    """At REPEATABLE READ the max would be that of the snapshot, not of the moment the lock was taken."""
    [one] = add_batches(1)
    with warehouse.connect("ingest") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with pytest.raises(psycopg.errors.RaiseException, match="needs READ COMMITTED"):
            ledger.record_events(connection, [one], "admitted", reason="", actor="a")


def test_a_writer_that_dies_leaves_neither_event_nor_lock(warehouse) -> None:
    first, second = add_batches(2)
    with warehouse.connect("ingest") as doomed, warehouse.admin() as admin:
        ledger.record_events(doomed, [first], "admitted", reason="", actor="a")
        admin.execute("select pg_terminate_backend(%s)", (doomed.info.backend_pid,))
        with session("ingest", lock_timeout=10) as connection:
            [event] = ledger.record_events(connection, [second], "admitted", reason="", actor="b")
        assert event.seq == 1
        with pytest.raises(psycopg.OperationalError):
            doomed.execute("select 1")
        doomed.close()
