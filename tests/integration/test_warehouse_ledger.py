"""The ledger as ingest and the gate use it, on PostgreSQL."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from yingshang.errors import SourceUnavailable, UsageError
from yingshang.warehouse import PgConnection, ledger, session

FIRST_NIGHT = date(2024, 8, 13)
PROVISION = ("trading", "lot", "210102")


def add(connection: PgConnection, *, day: int = 0, run_id: str | None = None, **changed: Any) -> int:
    """A batch of a window (low, high) of a night, in a run of its own unless told."""
    night = FIRST_NIGHT + timedelta(days=day)
    batch_id = ledger.next_batch_id(connection)
    run_id = run_id or f"run-{batch_id}"
    ledger.open_night(connection, run_id, night)
    system, dataset, node_code = PROVISION
    values: dict[str, Any] = {
        "batch_id": batch_id, "run_id": run_id, "night": night, "system": system, "dataset": dataset,
        "node_code": node_code, "kind": "window", "source_rows": 10, "raw_rows": 8, "quarantined_rows": 1,
        "duplicate_rows": 1, "contract_version": "1.0.0", "started_at": datetime.now(UTC),
    }  # fmt: skip
    ledger.insert_batch(connection, ledger.NewBatch(**{**values, **changed}))
    return batch_id


def window(connection: PgConnection, low: str | None, high: str, **changed: Any) -> int:
    return add(connection, cursor_low=low, cursor_high=high, **changed)


def drop(connection: PgConnection, period: str, sha256: str, revision: int = 1, **changed: Any) -> int:
    return add(connection, kind="drop", drop_period=period, drop_sha256=sha256, drop_revision=revision, **changed)


def say(connection: PgConnection, event: ledger.EventKind, *batch_ids: int) -> None:
    ledger.record_events(connection, batch_ids, event, reason="test", actor="test")


def reach(connection: PgConnection) -> tuple[str, bool] | None:
    found = ledger.last_admitted_window(connection, *PROVISION)
    return (found.cursor_high, found.has_gap) if found else None


# --- nights and batches -----------------------------------------------------------------------------------------------


def test_opening_a_night_again_returns_the_same_run(warehouse) -> None:
    with warehouse.connect("ingest") as connection:
        first = ledger.open_night(connection, "r", FIRST_NIGHT, cut_off_at=datetime(2024, 8, 14, 5, tzinfo=UTC))
        assert ledger.open_night(connection, "r", FIRST_NIGHT) == first
        with pytest.raises(UsageError, match="run r is one of the night 2024-08-13, not of 2024-08-14"):
            ledger.open_night(connection, "r", FIRST_NIGHT + timedelta(days=1))


def test_closing_again_keeps_the_first_time_and_takes_the_new_verdict(warehouse) -> None:
    at = datetime(2024, 8, 14, 2, tzinfo=UTC)
    with warehouse.connect("ingest") as connection:
        ledger.open_night(connection, "r", FIRST_NIGHT)
        ledger.close_night(connection, "r", closed_at=at, is_quorum_met=False, verdict={"a": 1})
        ledger.close_night(connection, "r", closed_at=at + timedelta(hours=1), is_quorum_met=True, verdict={"a": 2})
        [run] = ledger.recent_nights(connection)
    assert (run.closed_at, run.is_quorum_met, run.verdict) == (at, True, {"a": 2})


def test_a_batch_comes_back_as_it_was_written(warehouse) -> None:
    with warehouse.connect("ingest") as connection:
        one = window(connection, None, "20240813230000", profile={"rows": 8}, drift={"new": ["X"]}, run_id="r")
        found = ledger.batch(connection, one)
        assert (found.profile, found.drift, found.cursor_high) == ({"rows": 8}, {"new": ["X"]}, "20240813230000")
        assert (found.event, found.seq, found.is_visible) == (None, None, False)
        assert ledger.batches_of_run(connection, "r", system="trading", node_code="210102") == [found]
        assert ledger.batches_of_run(connection, "r", system="hotline") == []
        assert ledger.unjudged_batches(connection) == [found]
        with pytest.raises(UsageError, match="no batch 999 in the ledger"):
            ledger.batch(connection, 999)


def test_the_state_of_a_batch_has_all_of_the_batch_and_its_last_event(warehouse) -> None:
    with warehouse.connect("ingest") as connection:
        names = {
            table: {column.name for column in connection.execute(f"select * from ops.{table} limit 0").description}
            for table in ("batch", "batch_state")
        }
        assert names["batch_state"] - names["batch"] == {"event", "seq", "reason"}
        assert names["batch"] <= names["batch_state"], "a column of ops.batch is missing in the view ops.batch_state"
        one = window(connection, None, "20240813230000")
        ledger.admit(connection, [one], reason="gate", actor="gate")
        ledger.record_events(connection, [one], "withdrawn", reason="wrong", actor="li")
        states = connection.execute("select batch_id, event, reason from ops.batch_state").fetchall()
        assert states == [(one, "withdrawn", "wrong")], "one row, of the last event"


def test_rows_that_do_not_add_up_cannot_be_written(warehouse) -> None:
    with warehouse.connect("ingest") as connection, pytest.raises(psycopg.errors.CheckViolation):
        add(connection, source_rows=11)


def test_a_provision_is_loaded_once_in_a_run(warehouse) -> None:
    """A retry that races its own first attempt, which had not noticed that it was given up."""
    with warehouse.connect("ingest") as connection:
        window(connection, None, "20240813230000", run_id="r")
        connection.commit()
        with pytest.raises(ledger.AlreadyLoaded, match=r"trading.lot of node 210102 is already loaded by run r"):
            window(connection, None, "20240813230000", run_id="r")


def test_batches_are_append_only_for_every_working_role(warehouse) -> None:
    with session("ingest") as connection:
        add(connection)
    for role in ("ingest", "transform", "publish"):
        for statement in ("update ops.batch set raw_rows = 0", "delete from ops.batch", "delete from ops.batch_event"):
            with warehouse.connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


# --- windows ----------------------------------------------------------------------------------------------------------


def test_only_an_admitted_window_moves_the_line(warehouse) -> None:
    with warehouse.connect("ingest") as connection:
        assert reach(connection) is None
        first = window(connection, None, "20240813230000")
        assert reach(connection) is None
        say(connection, "admitted", first)
        assert reach(connection) == ("20240813230000", False)
        window(connection, "20240813210000", "20240814230000", day=1)
        assert reach(connection) == ("20240813230000", False)


def test_a_window_withdrawn_later_is_read_again_whole(warehouse) -> None:
    """Windows 1, 2, 3 admitted, 2 withdrawn: the next read starts at the end of 1, or the rows of 2 were lost."""
    with warehouse.connect("ingest") as connection:
        one = window(connection, None, "20240813230000")
        two = window(connection, "20240813210000", "20240814230000", day=1)
        three = window(connection, "20240814210000", "20240815230000", day=2)
        say(connection, "admitted", one, two, three)
        assert reach(connection) == ("20240815230000", False)
        say(connection, "withdrawn", two)
        assert reach(connection) == ("20240813230000", True)
        four = window(connection, "20240813210000", "20240816230000", day=3)
        say(connection, "admitted", four)
        assert reach(connection) == ("20240816230000", False)


def test_a_withdrawn_first_window_means_from_the_beginning(warehouse) -> None:
    with warehouse.connect("ingest") as connection:
        one = window(connection, None, "20240813230000")
        two = window(connection, "20240813210000", "20240814230000", day=1)
        say(connection, "admitted", one, two)
        say(connection, "withdrawn", one)
        assert reach(connection) is None
        say(connection, "admitted", one)
        assert reach(connection) == ("20240814230000", False)


def test_a_superseded_window_counts_through_the_one_in_its_place(warehouse) -> None:
    with warehouse.connect("ingest") as connection:
        one = window(connection, None, "20240813230000")
        two = window(connection, "20240813210000", "20240814230000", day=1)
        say(connection, "admitted", one, two)
        say(connection, "superseded", two)
        assert reach(connection) == ("20240813230000", False)
        again = window(connection, "20240813210000", "20240814230000", day=1, kind="reload")
        say(connection, "admitted", again)
        assert reach(connection) == ("20240814230000", False)


def test_an_old_night_run_again_does_not_move_the_line_back(warehouse) -> None:
    with warehouse.connect("ingest") as connection:
        one = window(connection, None, "20240813230000")
        two = window(connection, "20240813210000", "20240814230000", day=1)
        again = window(connection, None, "20240813230000")
        say(connection, "admitted", one, two, again)
        assert reach(connection) == ("20240814230000", False)
        found = ledger.windows_of_night(connection, *PROVISION, FIRST_NIGHT)
        assert [batch.batch_id for batch in found] == [one, again]


def test_other_provisions_and_kinds_do_not_move_the_line(warehouse) -> None:
    with warehouse.connect("ingest") as connection:
        others = [
            window(connection, None, "20240813230000", node_code="210103"),
            window(connection, None, "20240813230000", dataset="bid"),
            window(connection, None, "20240813230000", kind="reconcile"),
            drop(connection, "20240813", "a", cursor_high="20240813230000"),
        ]
        say(connection, "admitted", *others)
        assert reach(connection) is None


# --- drops ------------------------------------------------------------------------------------------------------------


def test_a_drop_is_known_once_judged_or_loaded_by_this_run(warehouse) -> None:
    with warehouse.connect("ingest") as connection:
        judged = drop(connection, "20240812", "a")
        say(connection, "withdrawn", judged)
        drop(connection, "20240813", "b", run_id="mine")
        drop(connection, "20240814", "c", run_id="abandoned")
        known = ledger.loaded_drops(connection, *PROVISION, run_id="mine")
    assert known == {("20240812", "a"), ("20240813", "b")}


def visible(connection: PgConnection) -> list[int]:
    return [batch.batch_id for batch in ledger.visible_batches(connection)]


def test_a_resent_drop_takes_the_place_of_the_earlier_one(warehouse) -> None:
    with warehouse.connect("ingest") as connection:
        first = drop(connection, "20240813", "a")
        ledger.admit(connection, [first], reason="gate", actor="gate")
        resent = drop(connection, "20240813", "b", 2)
        other_period = drop(connection, "20240814", "c")
        events = ledger.admit(connection, [other_period, resent], reason="gate", actor="gate")
        assert [(event.batch_id, event.event) for event in events] == [
            (first, "superseded"),
            (resent, "admitted"),
            (other_period, "admitted"),
        ]
        assert visible(connection) == [resent, other_period]
        assert [event.event for event in ledger.events_of(connection, batch_ids=[first])] == ["admitted", "superseded"]


def test_of_two_revisions_in_one_night_the_newer_is_seen_in_either_order(warehouse) -> None:
    with warehouse.connect("ingest") as connection:
        newer = drop(connection, "20240813", "b", 2)
        older = drop(connection, "20240813", "a", 1)
        ledger.admit(connection, [newer, older], reason="gate", actor="gate")
        assert visible(connection) == [newer]


def test_an_older_revision_that_comes_late_changes_nothing(warehouse) -> None:
    with warehouse.connect("ingest") as connection:
        newer = drop(connection, "20240813", "b", 2)
        ledger.admit(connection, [newer], reason="gate", actor="gate")
        older = drop(connection, "20240813", "a", 1)
        [event] = ledger.admit(connection, [older], reason="gate", actor="gate")
        assert (event.batch_id, event.event) == (older, "superseded")
        assert visible(connection) == [newer]


def test_drops_of_other_nodes_are_left_alone(warehouse) -> None:
    with warehouse.connect("ingest") as connection:
        mine = drop(connection, "20240813", "a")
        other = drop(connection, "20240813", "a", node_code="210103")
        ledger.admit(connection, [mine, other], reason="gate", actor="gate")
        assert visible(connection) == [mine, other]


def test_admitting_what_does_not_exist_is_refused(warehouse) -> None:
    with warehouse.connect("ingest") as connection, pytest.raises(UsageError, match="no batch 7, 8 in the ledger"):
        ledger.admit(connection, [8, 7], reason="", actor="")


# --- provisions and checks --------------------------------------------------------------------------------------------


def test_a_provision_that_failed_and_then_loaded_counts_both_attempts(warehouse) -> None:
    with warehouse.connect("ingest") as connection:
        ledger.open_night(connection, "r", FIRST_NIGHT)
        ledger.record_provision(connection, "r", *PROVISION, "failed", error=SourceUnavailable("210102 is away"))
        [one] = ledger.provision_runs(connection, "r")
        assert (one.outcome, one.error_type, one.error) == ("failed", "SourceUnavailable", "210102 is away")
        ledger.record_provision(connection, "r", *PROVISION, "loaded")
        ledger.record_provision(connection, "r", *PROVISION, "failed", error=SourceUnavailable("a late straggler"))
        [one] = ledger.provision_runs(connection, "r", system="trading")
    assert (one.outcome, one.attempts, one.error) == ("loaded", 3, None)


def test_the_state_of_a_provision_is_that_of_its_visible_batches(warehouse) -> None:
    with warehouse.connect("ingest") as connection:
        one = window(connection, None, "20240813230000")
        two = window(connection, "20240813210000", "20240814230000", day=1)
        three = window(connection, "20240814210000", "20240815230000", day=2)
        say(connection, "admitted", one, two, three)
        say(connection, "withdrawn", three)
        [state] = ledger.provision_states(connection, system="trading")
    assert (state.last_night, state.last_cursor, state.batches, state.rows) == (
        FIRST_NIGHT + timedelta(days=1),
        "20240814230000",
        2,
        16,
    )


def test_results_of_checks_are_kept(warehouse) -> None:
    with warehouse.connect("ingest") as connection:
        one = add(connection)
        ledger.insert_check_results(
            connection,
            [
                ledger.CheckResult(
                    stage="landing", suite="lot", expectation="rows", severity="stop", is_success=False,
                    batch_id=one, observed={"rows": 8}, message="too few",
                )
            ],
        )  # fmt: skip
        row = connection.execute("select suite, is_success, observed, batch_id from ops.check_result").fetchone()
    assert row == ("lot", False, {"rows": 8}, one)
