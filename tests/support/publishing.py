"""What the publisher's tests share: a builder of small slots in plain SQL, a gate that looks, readers that assert."""

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from yingshang.publish.machine import Publisher
from yingshang.publish.model import Build, BuildOutcome, BuildReport, Limits, NodeResult, Plan, Publication, SlotName
from yingshang.publish.readers import ReaderGuard
from yingshang.warehouse import connect
from yingshang.warehouse.rights import MartRights

NIGHT = dt.date(2024, 8, 13)
MARTS = ("fct_deal", "fct_offer", "rpt_total")
QUICK = Limits(reader_wait=10, publish_wait=30)


@dataclass
class SqlBuilder:
    """Three small marts; `rows` keys each, written whole by every build. Columns can be changed between builds."""

    rows: int = 40
    marts: tuple[str, ...] = MARTS
    columns: dict[str, str] = field(default_factory=lambda: {"amount_yuan": "numeric(18,2)"})
    code_version: str = "sql-1"
    error: str | None = None
    during: Callable[[Build], None] | None = None
    builds: list[Build] = field(default_factory=list)
    rights: dict[str, MartRights] = field(default_factory=dict)

    def plan(self, slot: SlotName, last_success: int | None) -> Plan:
        rights = {mart: self.rights.get(mart, MartRights("public")) for mart in self.marts}
        return Plan(self.marts, self.code_version, rights=rights)

    def run(self, plan: Plan, build: Build) -> BuildOutcome:
        self.builds.append(build)
        with connect("transform", application_name="yingshang dbt") as conn:
            for mart in self.marts:
                self._write(conn, mart, build)
        if self.during:
            self.during(build)
        results = tuple(NodeResult(f"model.{mart}", "model", "success", 0.0, self.rows) for mart in self.marts)
        return BuildOutcome(results, self.error)

    def keep(self, plan: Plan, build: Build) -> None:
        pass

    def _write(self, conn: psycopg.Connection[Any], mart: str, build: Build) -> None:
        table = sql.Identifier(build.slot, mart)
        extra = sql.SQL("").join(
            sql.SQL(", {} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in self.columns.items()
        )
        conn.execute(sql.SQL("drop table if exists {}").format(table))
        conn.execute(
            sql.SQL(
                "create table {} (deal_key int not null{}, _slot text not null check (_slot = {}),"
                " _build_id bigint not null)"
            ).format(table, extra, build.slot)
        )
        conn.execute(
            sql.SQL("insert into {} (deal_key, _slot, _build_id) select n, {}, {} from generate_series(1, {}) as n")
            .format(table, build.slot, build.build_id, self.rows)
        )  # fmt: skip
        conn.execute(sql.SQL("comment on table {} is {}").format(table, f"{mart}: one row per deal"))
        conn.execute(sql.SQL("comment on column {}.deal_key is 'The deal.'").format(table))


@dataclass(frozen=True)
class Verdict:
    """What a gate says."""

    passed: bool
    why: str = ""

    def __str__(self) -> str:
        return self.why or "3 of 3 checks passed"


def gate(build_id: int) -> Verdict:
    """A gate that looks: each mart, through serve, holds this build and nothing else."""
    with connect("publish") as conn:
        row = conn.execute("select slot from ops.slot where build_id = %s", (build_id,)).fetchone()
        assert row is not None
        for (mart,) in conn.execute(
            "select relname from pg_class where relnamespace = 'serve'::regnamespace"
        ).fetchall():
            found = conn.execute(
                sql.SQL("select array_agg(distinct _build_id) from {} where _slot = {}").format(
                    sql.Identifier("serve", mart), row[0]
                )
            ).fetchone()
            if found != ([build_id],):
                return Verdict(False, f"{mart} holds {found}")
    return Verdict(True)


def publisher(builder: SqlBuilder | None = None, **changes: Any) -> Publisher:
    """A publisher of small slots with short limits."""
    arguments: dict[str, Any] = {
        "builder": builder or SqlBuilder(),
        "audit": gate,
        "probe": lambda build_id: Verdict(True),  # who may see what: test_access.py
        "provisions": lambda night: (),
        "limits": QUICK,
    }
    return Publisher(**(arguments | changes))


def cycle(one: Publisher, night: dt.date = NIGHT, run_id: str = "test") -> tuple[BuildReport, Publication]:
    """Build, audit, publish."""
    built = one.build(night, run_id)
    one.audit(built.build_id)
    return built, one.publish(built.build_id, run_id)


class NoDetachWait(ReaderGuard):
    """Without step 1."""

    def before_detach(self, *_: Any) -> float:
        return 0.0


class NoFlipWait(ReaderGuard):
    """Without step 6."""

    def before_flip(self, *_: Any) -> float:
        return 0.0


JOINED = """
    select min(d._build_id), max(d._build_id), min(o._build_id), max(o._build_id), min(t._build_id), max(t._build_id),
        max(p.build_id), count(*)
    from marts.fct_deal as d
    inner join marts.fct_offer as o on o.deal_key = d.deal_key
    inner join marts.rpt_total as t on t.deal_key = d.deal_key
    cross join marts.publication as p
"""
SCALARS = """
    select (select min(_build_id) from marts.fct_deal), (select max(_build_id) from marts.fct_offer),
        (select max(_build_id) from marts.rpt_total), (select p.build_id from marts.publication as p), 1
"""
SINGLE = ("select min(_build_id), max(_build_id), count(*) from marts." + mart for mart in MARTS)
SINGLES = (*SINGLE, "select build_id, build_id, 1 from marts.publication")


@dataclass
class Tally:
    """What the readers saw."""

    reads: int = 0
    mixed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    worst_seconds: float = 0.0
    builds: set[int] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def saw(self, what: str, ids: set[int | None], seconds: float) -> None:
        with self.lock:
            self.reads += 1
            self.worst_seconds = max(self.worst_seconds, seconds)
            if len(ids) != 1 or None in ids:
                self.mixed.append(f"{what}: {sorted(map(str, ids))}")
            else:
                self.builds.add(next(int(one) for one in ids if one is not None))


def read_joined(conn: psycopg.Connection[Any], tally: Tally, pause: float, query: LiteralString = JOINED) -> None:
    """One READ COMMITTED statement over three marts."""
    start = time.monotonic()
    row = conn.execute(query).fetchone()
    assert row is not None
    tally.saw("statement", set(row[:-1]), time.monotonic() - start)


def read_transaction(conn: psycopg.Connection[Any], tally: Tally, pause: float) -> None:
    """READ COMMITTED, several statements over three marts in one transaction: each is whole by itself."""
    with conn.transaction():
        for _ in range(3):
            read_joined(conn, tally, pause, SCALARS)
            time.sleep(pause)


def read_repeatable(conn: psycopg.Connection[Any], tally: Tally, pause: float) -> None:
    """A REPEATABLE READ transaction of several statements: all of them see one build."""
    ids: set[int | None] = set()
    worst = 0.0
    with conn.transaction():
        conn.execute("set transaction isolation level repeatable read")
        for query in SINGLES:
            start = time.monotonic()
            row = conn.execute(query).fetchone()
            worst = max(worst, time.monotonic() - start)
            assert row is not None
            ids |= {row[0], row[1]}
            time.sleep(pause)
    tally.saw("transaction", ids, worst)


Read = Callable[[psycopg.Connection[Any], Tally, float], None]
READERS: tuple[tuple[Read, int | None], ...] = (
    (read_joined, None),  # simple statements
    (read_joined, 0),  # prepared from the first
    (read_joined, 5),  # the driver's default
    (read_transaction, 0),
    (read_repeatable, None),
    (read_repeatable, None),
    (read_repeatable, 0),
    (read_repeatable, 5),
)


@contextmanager
def eight_readers(pause: float = 0.002) -> Iterator[Tally]:
    """Eight readers of the marts, half of them READ COMMITTED, half REPEATABLE READ, until the block ends.

    ``pause``: seconds that they think between the statements of a transaction.
    """
    tally, stop = Tally(), threading.Event()

    def run(read: Read, prepare: int | None) -> None:
        try:
            with connect("bi_reader", autocommit=True) as conn:
                conn.prepare_threshold = prepare
                while not stop.is_set():
                    read(conn, tally, pause)
                    time.sleep(0.002)
        except Exception as error:  # noqa: BLE001 - every failure of a reader is counted, and fails the test
            tally.failed.append(f"{read.__name__}: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=run, args=one, name=f"reader {n}") for n, one in enumerate(READERS)]
    for thread in threads:
        thread.start()
    try:
        yield tally
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
