"""The publisher's part of the ledger: slots, builds, publications. Every function is one or a few statements."""

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any, LiteralString

import psycopg
from psycopg.rows import class_row

from yingshang.contracts.registry import Provision
from yingshang.publish.model import Build, BuildOutcome, Kind, Live, NodeResult, Publication, Slot, SlotName

Conn = psycopg.Connection[Any]
INTERRUPTED = "a build was interrupted"
"""Reason of a slot whose build was broken off."""


def slots(conn: Conn) -> dict[str, Slot]:
    """Both slots by name."""
    with conn.cursor(row_factory=class_row(Slot)) as cursor:
        rows = cursor.execute(
            "select slot, state, build_id, seq, night, attached_at, reason from ops.slot order by slot"
        ).fetchall()
    return {one.slot: one for one in rows}


def live(conn: Conn) -> Live | None:
    """What readers see now; None before the first publication."""
    with conn.cursor(row_factory=class_row(Live)) as cursor:
        return cursor.execute(
            "select l.slot, l.build_id, l.publication_id, p.night from ops.live as l"
            " inner join ops.publication as p on p.publication_id = l.publication_id"
        ).fetchone()


def set_slot(conn: Conn, slot: str, state: str, *, reason: str | None = None, seq: int | None = None) -> None:
    """Change the state of a slot; ``seq`` only if given."""
    conn.execute(
        "update ops.slot set state = %s, reason = %s, seq = coalesce(%s, seq), changed_at = clock_timestamp()"
        " where slot = %s",
        (state, reason, seq, slot),
    )


def last_seq(conn: Conn) -> int:
    """The last event that is committed: seqs become visible in order, so none up to it is missing."""
    row = conn.execute("select coalesce(max(seq), 0) from ops.batch_event").fetchone()
    return int(row[0]) if row else 0


def last_success(conn: Conn, slot: str) -> tuple[int, str | None] | None:
    """Id and code version of the last build that succeeded in a slot."""
    row = conn.execute(
        "select build_id, code_version from ops.build where schema_name = %s and outcome = 'succeeded'"
        " order by build_id desc limit 1",
        (slot,),
    ).fetchone()
    return (int(row[0]), row[1]) if row else None


def succeeded_build(conn: Conn, build_id: int) -> Build | None:
    """A build that succeeded in a slot, as the ledger knows it."""
    with conn.cursor(row_factory=class_row(Build)) as cursor:
        return cursor.execute(
            "select build_id, slot, kind, from_seq, to_seq, night, run_id, code_version from ops.build"
            " where build_id = %s and slot is not null and outcome = 'succeeded'",
            (build_id,),
        ).fetchone()


def other_code_since(conn: Conn, slot: str, build_id: int, code_version: str | None) -> str | None:
    """A code version other than ``code_version`` that was tried in the slot after ``build_id``, if any.

    What it has left in the slot is not what the code of ``build_id`` would have made.
    """
    row = conn.execute(
        "select code_version from ops.build where schema_name = %s and build_id > %s"
        " and code_version is distinct from %s order by build_id desc limit 1",
        (slot, build_id, code_version),
    ).fetchone()
    return str(row[0]) if row else None


def start_build(
    conn: Conn, slot: SlotName, kind: Kind, window: tuple[int, int], night: dt.date, run_id: str | None, code: str
) -> Build:
    """Write the row of ``ops.build`` that the models read; a full build leaves nothing to build upon meanwhile."""
    with conn.transaction():
        row = conn.execute(
            "insert into ops.build (schema_name, slot, kind, from_seq, to_seq, night, run_id, code_version)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s) returning build_id",
            (slot, slot, kind, *window, night, run_id, code),
        ).fetchone()
        assert row is not None  # noqa: S101 - insert ... returning
        if kind == "full":
            set_slot(conn, slot, "building", seq=0)
    return Build(int(row[0]), slot, kind, *window, night, run_id, code)


def finish_build(conn: Conn, build: Build, outcome: BuildOutcome) -> None:
    """Record what became of a build; only a build that succeeded moves the slot's seq."""
    with conn.transaction():
        close_build(conn, build.build_id, build.run_id, build.night, outcome)
        if outcome.error:
            set_slot(conn, build.slot, "bad", reason=f"build {build.build_id} failed")
        else:
            conn.execute(
                "update ops.slot set state = 'built', build_id = %s, seq = %s, night = %s, attached_at = null,"
                " reason = null, changed_at = clock_timestamp() where slot = %s",
                (build.build_id, build.to_seq, build.night, build.slot),
            )


def close_build(conn: Conn, build_id: int, run_id: str | None, night: dt.date, outcome: BuildOutcome) -> None:
    """Record what became of a build, and nothing about slots."""
    with conn.transaction():
        _record_results(conn, build_id, run_id, night, outcome.results)
        conn.execute(
            "update ops.build set finished_at = clock_timestamp(), outcome = %s, error = %s where build_id = %s",
            ("failed" if outcome.error else "succeeded", outcome.error, build_id),
        )


def close_interrupted(conn: Conn, slot: Slot) -> bool:
    """Close what a kill has left open in the slot's ledger. Returns whether there was something.

    The slot's seq stays: the next build touches all keys since then again, those of the broken-off one included.
    """
    with conn.transaction():
        changed = conn.execute(
            "update ops.build set finished_at = clock_timestamp(), outcome = 'failed', error = 'interrupted'"
            " where schema_name = %s and finished_at is null",
            (slot.slot,),
        ).rowcount
        if slot.state == "building":
            set_slot(conn, slot.slot, "bad", reason=INTERRUPTED)
            changed += 1
    return changed > 0


def set_attached(conn: Conn, slot: str) -> None:
    """The slot is attached; the time is taken after the attach was committed."""
    conn.execute(
        "update ops.slot set state = 'attached', attached_at = clock_timestamp(), changed_at = clock_timestamp()"
        " where slot = %s",
        (slot,),
    )


def flip(
    conn: Conn,
    kind: str,
    target: Slot,
    *,
    run_id: str | None,
    reason: str | None,
    missing_nodes: dict[str, list[str]],
) -> None:
    """Make a slot the live one. Call it inside a transaction; the commit is the publication."""
    row = conn.execute(
        "insert into ops.publication (kind, build_id, slot, night, to_seq, run_id, reason, missing_nodes)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s) returning publication_id",
        (kind, target.build_id, target.slot, target.night, target.seq, run_id, reason, json.dumps(missing_nodes)),
    ).fetchone()
    assert row is not None  # noqa: S101 - insert ... returning
    conn.execute(
        "insert into ops.live (slot, build_id, publication_id) values (%(slot)s, %(build)s, %(publication)s)"
        " on conflict (only_row) do update set slot = excluded.slot, build_id = excluded.build_id,"
        " publication_id = excluded.publication_id, flipped_at = clock_timestamp()",
        {"slot": target.slot, "build": target.build_id, "publication": row[0]},
    )
    set_slot(conn, target.slot, "live")


def publication_of(conn: Conn, build_id: int | None = None) -> Publication | None:
    """The live publication; with ``build_id`` only if it shows that build."""
    with conn.cursor(row_factory=class_row(Publication)) as cursor:
        return cursor.execute(
            "select p.publication_id, p.kind, p.build_id, p.slot, p.night, p.to_seq, p.published_at, p.missing_nodes,"
            " p.reason from ops.live as l inner join ops.publication as p on p.publication_id = l.publication_id"
            " where %(build)s::bigint is null or p.build_id = %(build)s",
            {"build": build_id},
        ).fetchone()


def failed_nodes(conn: Conn, build_id: int) -> list[str]:
    """Names of the models and tests that failed in a build."""
    rows = conn.execute(
        "select distinct coalesce(nullif(split_part(node_id, '.', 3), ''), node_id) as name from ops.dbt_result"
        " where build_id = %s and status in ('error', 'fail', 'runtime error') order by name",
        (build_id,),
    ).fetchall()
    return [name for (name,) in rows]


def missing_nodes(conn: Conn, provisions: Sequence[Provision], night: dt.date, to_seq: int) -> dict[str, list[str]]:
    """System -> codes of the nodes that owe at least one dataset of the night.

    A provision is kept by a batch of the night (or a later one) that is visible at ``to_seq``, or by a run of the
    night in which the node had nothing to send.
    """
    rows = conn.execute(_PROVIDED, {"night": night, "to_seq": to_seq}).fetchall()
    provided = set(rows)
    missing: dict[str, set[str]] = {}
    for one in provisions:
        if (one.system, one.dataset, one.node_code) not in provided:
            missing.setdefault(one.system, set()).add(one.node_code)
    return {system: sorted(nodes) for system, nodes in sorted(missing.items())}


def _record_results(
    conn: Conn, build_id: int, run_id: str | None, night: dt.date, results: Sequence[NodeResult]
) -> None:
    with conn.cursor() as cursor:
        cursor.executemany(
            "insert into ops.dbt_result (build_id, node_id, resource_type, status, seconds, rows_affected, message)"
            " values (%s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    build_id,
                    one.node_id,
                    one.resource_type,
                    one.status,
                    one.seconds,
                    one.rows_affected,
                    one.message,
                )
                for one in results
            ],
        )
        cursor.executemany(
            "insert into ops.check_result (run_id, night, stage, suite, expectation, severity, is_success, build_id,"
            " message) values (%s, %s, 'dbt', %s, %s, %s, %s, %s, %s)",
            [
                (
                    run_id,
                    night,
                    one.check.suite,
                    one.check.expectation,
                    one.check.severity,
                    one.check.is_success,
                    build_id,
                    one.message,
                )
                for one in results
                if one.check
            ],
        )


_PROVIDED: LiteralString = """
    select b.system, b.dataset, b.node_code
    from ops.batch as b
    cross join lateral (
        select e.event from ops.batch_event as e
        where e.batch_id = b.batch_id and e.seq <= %(to_seq)s
        order by e.seq desc limit 1
    ) as last
    where b.night >= %(night)s and last.event = 'admitted'
    union
    select p.system, p.dataset, p.node_code
    from ops.provision_run as p
    inner join ops.night_run as n on n.run_id = p.run_id
    where n.night >= %(night)s and p.outcome = 'nothing_to_send'
"""
