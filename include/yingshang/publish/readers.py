"""Who reads the marts now, and how a publication waits for them.

Two waits keep readers exact. Both look at the sessions of this database that could read the marts, seen in
``pg_stat_activity`` (the publisher has ``pg_read_all_stats``):

* before the idle slot is detached: no snapshot that is older than the last flip may be in use. Such a reader still
  reads the slot that is about to go away.
* before the flip: no statement, and no transaction that has touched a mart, may be older than the attach. Such a
  reader may have planned without the new partitions; after the flip it would find them empty. A transaction counts
  between its statements too: PostgreSQL looks for changed partitions when a lock is taken, and a transaction that
  holds the lock already runs a prepared statement with the partitions it knew.

Both are bounded: past ``Limits.reader_wait`` BI back ends are ended and recorded in ``ops.ended_reader``; past
``Limits.publish_wait`` the publication is postponed.
"""

import datetime as dt
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg.rows import class_row

from yingshang.errors import PublicationPostponed
from yingshang.publish.model import Limits
from yingshang.warehouse.access import READERS

log = logging.getLogger(__name__)

BI_ROLE = READERS
POLL_SECONDS = (0.005, 0.25)


@dataclass(frozen=True)
class Blocker:
    """A session that stands in the way. What it runs is not kept: statements may carry a citizen's data."""

    pid: int
    role: str | None
    application: str | None
    state: str | None
    backend_start: dt.datetime
    age_seconds: float
    may_be_ended: bool

    def __str__(self) -> str:
        name = f", {self.application}" if self.application else ""
        return f"pid {self.pid} ({self.role or 'unknown role'}{name}, {self.state}, {self.age_seconds:.0f} s)"


class Patience:
    """The bounded wait of one step: call :meth:`pause` with those in the way until nobody is."""

    def __init__(self, monitor: psycopg.Connection[Any], limits: Limits, step: str) -> None:
        self._monitor = monitor
        self._limits = limits
        self._step = step
        self._start = time.monotonic()
        self._nap = POLL_SECONDS[0]
        self._ended: set[tuple[int, dt.datetime]] = set()

    @property
    def waited(self) -> float:
        """Seconds since the wait began."""
        return time.monotonic() - self._start

    def pause(self, blockers: Sequence[Blocker]) -> None:
        """Sleep a little; end BI back ends past the readers' limit.

        Raises:
            PublicationPostponed: the limit of the publication is reached.
        """
        waited = self.waited
        if waited > self._limits.publish_wait:
            shown = "; ".join(map(str, blockers)) or "a lock"
            raise PublicationPostponed(
                f"{self._step}: after {waited:.0f} s still waiting for {shown}. Nothing was published and the last"
                " publication stays. End these sessions or wait for them, then run the step again"
            )
        if waited > self._limits.reader_wait:
            self._end(blockers, waited)
        time.sleep(self._nap)
        self._nap = min(self._nap * 1.5, POLL_SECONDS[1])

    def until_clear(self, find: Callable[[], Sequence[Blocker]]) -> float:
        """Wait until ``find`` finds nobody. Returns the seconds waited."""
        while blockers := find():
            self.pause(blockers)
        return self.waited

    def _end(self, blockers: Sequence[Blocker], waited: float) -> None:
        for one in blockers:
            if not one.may_be_ended or (one.pid, one.backend_start) in self._ended:
                continue
            self._ended.add((one.pid, one.backend_start))
            try:
                ended = self._monitor.execute(
                    "with ended as (select pg_terminate_backend(pid) as is_ended from pg_stat_activity"
                    " where pid = %s and backend_start = %s)"
                    " insert into ops.ended_reader (pid, role_name, application_name, reason, waited_seconds)"
                    " select %s, %s, %s, %s, %s from ended where is_ended",
                    (one.pid, one.backend_start, one.pid, one.role, one.application, self._step, waited),
                ).rowcount
            except psycopg.errors.InsufficientPrivilege:
                log.warning("%s: may not end the reader %s (pg_signal_backend is not granted)", self._step, one)
                continue
            if ended:
                log.warning("%s: ended the reader %s after %.0f s", self._step, one, waited)


# Sessions of this database whose role may read the marts, or may become a role that may. ``may_be_ended`` are
# members of the BI role who are nothing else here.
_READERS: LiteralString = """
    select
        a.pid, a.usename as role, nullif(a.application_name, '') as application, a.state, a.backend_start,
        coalesce(extract(epoch from clock_timestamp() - coalesce(a.xact_start, a.query_start)), 0)::float
            as age_seconds,
        (
            pg_has_role(a.usesysid, %(bi)s, 'member')
            and not u.rolsuper
            and a.usename not in ('yingshang_owner', 'yingshang_publish')
        ) as may_be_ended
    from pg_stat_activity as a
    inner join pg_roles as u on u.oid = a.usesysid
    where
        a.datname = current_database()
        and not (a.pid = any(%(own)s))
        and a.backend_type not in ('autovacuum worker', 'walsender', 'parallel worker')
        and exists (
            select from pg_roles as r
            where pg_has_role(a.usesysid, r.oid, 'member') and has_schema_privilege(r.oid, 'marts', 'usage')
        )
"""

_OLDER_THAN_FLIP: LiteralString = """
        and a.backend_xmin is not null
        and age(a.backend_xmin) >= (select age(l.xmin) from ops.live as l)
        and coalesce(a.xact_start < %(seen)s, true)
"""

_OLDER_THAN_ATTACH: LiteralString = """
        and (
            (a.state not in ('idle', 'idle in transaction', 'idle in transaction (aborted)')
                and coalesce(a.query_start < %(attached)s, true))
            or (
                coalesce(a.xact_start < %(attached)s, false)
                and exists (
                    select from pg_locks as k
                    inner join pg_class as c on c.oid = k.relation
                    where k.pid = a.pid and k.locktype = 'relation' and c.relnamespace = 'serve'::regnamespace
                        and k.database = (select d.oid from pg_database as d where d.datname = current_database())
                )
            )
        )
"""

_SESSIONS: LiteralString = """
    select
        a.pid, a.usename as role, nullif(a.application_name, '') as application, a.state, a.backend_start,
        coalesce(extract(epoch from clock_timestamp() - coalesce(a.xact_start, a.query_start)), 0)::float
            as age_seconds,
        false as may_be_ended
    from pg_stat_activity as a
    where a.pid = any(%(pids)s)
"""

_HOLDING: LiteralString = """
        and exists (
            select from pg_locks as k
            inner join pg_class as c on c.oid = k.relation
            where k.pid = a.pid and k.locktype = 'relation'
                and c.relnamespace in ('serve'::regnamespace, 'marts'::regnamespace)
        )
"""


class ReaderGuard:
    """The two waits. Tests replace them one at a time to see that each is needed."""

    def before_detach(self, monitor: psycopg.Connection[Any], own: Sequence[int], limits: Limits) -> float:
        """Wait until no snapshot older than the last flip is in use. Returns the seconds waited.

        A snapshot that does not see the flip has an xmin up to the flip's transaction id. A long writer holds the
        xmin of younger snapshots down too, hence the second condition: who began after we saw the flip sees it.
        """
        row = monitor.execute("select clock_timestamp() from ops.live").fetchone()
        if row is None:
            return 0.0
        return Patience(monitor, limits, "waiting for readers older than the last publication").until_clear(
            lambda: _find(monitor, _READERS + _OLDER_THAN_FLIP, own, seen=row[0])
        )

    def before_flip(
        self, monitor: psycopg.Connection[Any], own: Sequence[int], limits: Limits, attached_at: dt.datetime
    ) -> float:
        """Wait until no statement, and no transaction with a lock on a mart, is older than the attach.

        ``attached_at``: the server's clock, read after the attach was committed. Returns the seconds waited.
        """
        return Patience(monitor, limits, "waiting for statements older than the attach").until_clear(
            lambda: _find(monitor, _READERS + _OLDER_THAN_ATTACH, own, attached=attached_at)
        )


def blocking(monitor: psycopg.Connection[Any], waiting_pid: int, own: Sequence[int]) -> list[Blocker]:
    """The sessions that ``waiting_pid`` waits for now."""
    row = monitor.execute("select pg_blocking_pids(%s)", (waiting_pid,)).fetchone()
    pids = list(row[0]) if row else []
    if not pids:
        return []
    readers = {one.pid: one for one in _find(monitor, _READERS, own)}
    return [readers.get(one.pid, one) for one in _find(monitor, _SESSIONS, own, pids=pids)]


def holding(monitor: psycopg.Connection[Any], own: Sequence[int]) -> list[Blocker]:
    """The readers that hold any lock on a mart now."""
    return _find(monitor, _READERS + _HOLDING, own)


def _find(
    monitor: psycopg.Connection[Any], query: LiteralString, own: Sequence[int], **values: object
) -> list[Blocker]:
    with monitor.cursor(row_factory=class_row(Blocker)) as cursor:
        return cursor.execute(query, {"bi": BI_ROLE, "own": list(own), **values}).fetchall()
