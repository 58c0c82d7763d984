"""The publisher's session: one at a time, fenced against what a killed publisher may have left running.

All DDL and all changes of the slots run on the connection that holds the advisory lock, so a publisher that has lost
the lock has lost the means to do harm as well. The lock goes when the process dies; a statement that outlives its
process keeps it until PostgreSQL notices, within a second (``client_connection_check_interval``).
"""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import errors, sql

from yingshang.errors import CredentialError, PublicationPostponed, WarehouseUnavailable
from yingshang.publish.model import Limits, PublisherInterrupted
from yingshang.publish.readers import Blocker, Patience, blocking, holding
from yingshang.warehouse import connect

log = logging.getLogger(__name__)

LOCK_KEY = 4207003
APPLICATION = "yingshang publisher"
DBT_APPLICATION = "yingshang dbt"
FENCE_SECONDS = 30.0
BRIEF_LOCK = "200ms"


@dataclass(frozen=True)
class Session:
    """``conn`` holds the publisher's lock; ``monitor`` looks on while ``conn`` is busy. Both autocommit."""

    conn: psycopg.Connection[Any]
    monitor: psycopg.Connection[Any]
    limits: Limits

    @property
    def own(self) -> tuple[int, int]:
        """The back ends that are the publisher itself."""
        return self.conn.info.backend_pid, self.monitor.info.backend_pid

    def run_watched(self, statement: sql.Composed, step: str) -> float:
        """Run a statement that waits for readers by itself, and see to it that the wait is bounded.

        Returns the seconds it took.

        Raises:
            PublicationPostponed: it still waited at the publication's limit and was cancelled.
        """
        patience = Patience(self.monitor, self.limits, step)
        with ThreadPoolExecutor(1, thread_name_prefix="publisher") as pool:
            running = pool.submit(self.conn.execute, statement)
            try:
                while True:
                    try:
                        running.result(timeout=0.02)
                    except NotYet:
                        patience.pause(blocking(self.monitor, self.own[0], self.own))
                    else:
                        return patience.waited
            finally:
                if not running.done():
                    self.conn.cancel_safe(timeout=5)

    def run_briefly(self, statements: list[sql.Composed], step: str) -> float:
        """Run DDL that locks readers out, in one transaction, without ever making them queue for more than a moment.

        Returns the seconds waited for readers.
        """
        patience = Patience(self.monitor, self.limits, step)
        while True:
            try:
                with brief_transaction(self.conn):
                    for statement in statements:
                        self.conn.execute(statement)
            except errors.LockNotAvailable:
                patience.pause(self.readers_holding_locks())
            else:
                return patience.waited

    def readers_holding_locks(self) -> list[Blocker]:
        """The readers that hold a lock on a mart now."""
        return holding(self.monitor, self.own)


@contextmanager
def brief_transaction(conn: psycopg.Connection[Any]) -> Iterator[None]:
    """A transaction that gives up (LockNotAvailable) rather than let readers queue behind its locks."""
    with conn.transaction():
        conn.execute(sql.SQL("set local lock_timeout = {}").format(BRIEF_LOCK))
        yield


@contextmanager
def publisher_session(limits: Limits) -> Iterator[Session]:
    """Become the one publisher: take the lock, end what a killed publisher left running.

    Raises:
        PublicationPostponed: another publisher is at work and did not finish within the limit.
        PublisherInterrupted: the connection was lost; what the step left is repaired by the next one.
    """
    with closing(_connect()) as conn, closing(_connect()) as monitor:
        try:
            _check_sight(conn)
            _take_lock(conn, limits)
            _end_orphans(monitor)
            yield Session(conn, monitor, limits)
        except psycopg.OperationalError as error:
            if not any(one.broken or one.closed for one in (conn, monitor)):
                raise
            raise PublisherInterrupted(
                f"the publisher lost its connection to the warehouse ({type(error).__name__}). Readers keep the last"
                " publication; run the step again"
            ) from error


def _connect() -> psycopg.Connection[Any]:
    return connect("publish", autocommit=True, application_name=APPLICATION)


def _check_sight(conn: psycopg.Connection[Any]) -> None:
    if not _one(conn, "select pg_has_role(current_user, 'pg_read_all_stats', 'usage')"):
        raise CredentialError(
            "yingshang_publish can't see what readers are doing, so it can't publish safely: let a superuser"
            " `grant pg_read_all_stats to yingshang_publish`"
        )


def _take_lock(conn: psycopg.Connection[Any], limits: Limits) -> None:
    # Polled: a session that waits in pg_advisory_lock would be an old statement for the publisher it waits for.
    start = time.monotonic()
    while not _one(conn, "select pg_try_advisory_lock(%s)", LOCK_KEY):
        if time.monotonic() - start > limits.publish_wait:
            holder = conn.execute(
                "select a.pid, a.backend_start from pg_locks as k inner join pg_stat_activity as a on a.pid = k.pid"
                " where k.locktype = 'advisory' and k.classid = 0 and k.objid = %s and k.granted",
                (LOCK_KEY,),
            ).fetchone()
            who = f" (pid {holder[0]}, connected since {holder[1]:%Y-%m-%d %H:%M:%S %Z})" if holder else ""
            raise PublicationPostponed(
                f"another publisher{who} has been at work for more than {limits.publish_wait:.0f} s: wait for it, or"
                " end it, and run the step again"
            )
        time.sleep(0.1)


def _end_orphans(monitor: psycopg.Connection[Any]) -> None:
    """End dbt sessions of a publisher that is gone: whoever holds the lock has none of his own yet."""
    start = time.monotonic()
    while orphans := monitor.execute(_ORPHANS, {"application": DBT_APPLICATION}).fetchall():
        log.warning("ended %d dbt session(s) of a publisher that is gone", len(orphans))
        if time.monotonic() - start > FENCE_SECONDS:
            raise WarehouseUnavailable(
                f"dbt sessions of an earlier publisher do not end: pid {', '.join(str(pid) for pid, _ in orphans)}"
            )
        time.sleep(0.1)


_ORPHANS: LiteralString = """
    select a.pid, pg_terminate_backend(a.pid)
    from pg_stat_activity as a
    where a.datname = current_database() and a.usename = 'yingshang_transform' and a.application_name = %(application)s
"""


def _one(conn: psycopg.Connection[Any], query: LiteralString, *values: object) -> Any:
    row = conn.execute(query, values).fetchone()
    return row[0] if row else None
