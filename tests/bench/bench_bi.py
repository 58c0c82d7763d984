"""How long dashboards wait: the sample queries of include/bi/sql, by 20 clients at once, while publications flip.

Runs against the marts of a prepared warehouse, such as a running demo's. Each client is a process with a connection of
its own, which asks all queries in an order of its own, over and over, and fetches every row. Beside them the live slot
is flipped back and forth by what a publication ends with, one UPDATE of ops.live, under the publisher's lock; with
``--publish`` a whole publication (build, audit, flip) runs instead, as the nights make it. At the end the slot that was
live is live again.

    make bench-bi     or: python tests/bench/bench_bi.py --state .state --seconds 30

Exit code 1 when a query failed or the goal is missed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import psycopg  # noqa: E402
from tests.support.bi_queries import bi_queries  # noqa: E402

from bi.server import check_published  # noqa: E402
from demo.layout import DemoError  # noqa: E402
from yingshang.publish.model import Limits  # noqa: E402
from yingshang.publish.session import publisher_session  # noqa: E402
from yingshang.warehouse import dsn, session  # noqa: E402

GOAL_MS = 100.0
LONGEST_WAIT = 240.0
"""Seconds beyond the measured ones that the clients may take to begin and to end."""
OTHER_SLOT = """
select l.slot, l.build_id, l.publication_id, o.slot, o.build_id, o.publication_id
from ops.live as l
left join lateral (
    select p.slot, p.build_id, p.publication_id
    from ops.publication as p
    inner join ops.slot as s on s.slot = p.slot and s.build_id = p.build_id and s.state = 'idle'
    where p.slot <> l.slot
    order by p.publication_id desc
    limit 1
) as o on true
"""


@dataclass
class Measured:
    """Milliseconds by query, and what failed."""

    milliseconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    rows: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add(self, other: Measured) -> None:
        for name, found in other.milliseconds.items():
            self.milliseconds[name] += found
        self.rows |= other.rows
        self.failures += other.failures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--state", type=Path, help="state of the warehouse (default: YINGSHANG_STATE, or .state)")
    parser.add_argument("--conn", default="bi_reader", help="who asks: the conn id after warehouse_")
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--pause", type=float, default=0, help="seconds that a client waits between two queries")
    parser.add_argument("--flip-every", type=float, default=1, help="seconds; 0: no flips")
    parser.add_argument("--publish", action="store_true", help="a whole publication beside the clients, no bare flips")
    parser.add_argument("--goal-ms", type=float, default=GOAL_MS, help="goal for the 95th percentile of all queries")
    arguments = parser.parse_args()
    if arguments.state:
        os.environ["YINGSHANG_STATE"] = str(arguments.state.resolve())
    try:
        check_published(arguments.conn)
    except DemoError as error:
        sys.exit(f"bench-bi: {error}")
    beside = whole_publication() if arguments.publish else flips(arguments.flip_every)
    with beside as done:
        measured = measure(dsn(arguments.conn), arguments.clients, arguments.seconds, arguments.pause)
    sys.exit(0 if report(measured, arguments.clients, done(), arguments.goal_ms) else 1)


def measure(reader: str, clients: int, seconds: float, pause: float) -> Measured:
    """All clients start together, once each has its connection."""
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(clients), context.Queue()
    processes = [
        context.Process(target=_client, args=(number, reader, seconds, pause, barrier, answers), daemon=True)
        for number in range(clients)
    ]
    for process in processes:
        process.start()
    whole = Measured()
    for _ in processes:
        milliseconds, rows, failures = answers.get(timeout=seconds + LONGEST_WAIT)  # a client killed never answers
        whole.add(Measured(milliseconds, rows, failures))
    for process in processes:
        process.join(10)
    return whole


def _client(number: int, reader: str, seconds: float, pause: float, barrier, answers) -> None:  # type: ignore[no-untyped-def]
    order, measured, queries = random.Random(number), Measured(), bi_queries()
    try:
        with psycopg.connect(reader, autocommit=True, connect_timeout=10) as connection:
            for query in queries:  # the first reading of a page, and of the catalogue, is no dashboard's daily wait
                connection.execute(query.sql.encode()).fetchall()
            barrier.wait(LONGEST_WAIT / 2)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                for query in order.sample(queries, len(queries)):
                    began = time.perf_counter()
                    try:
                        rows = connection.execute(query.sql.encode()).fetchall()
                    except psycopg.Error as error:
                        measured.failures.append(f"{query.name}: {type(error).__name__} {error.diag.message_primary}")
                    else:
                        measured.milliseconds[query.name].append((time.perf_counter() - began) * 1000)
                        measured.rows[query.name] = len(rows)
                    time.sleep(pause)
    except (psycopg.Error, threading.BrokenBarrierError) as error:
        barrier.abort()
        measured.failures.append(f"client {number}: {type(error).__name__} {error}")
    answers.put((dict(measured.milliseconds), measured.rows, measured.failures))


@contextmanager
def flips(every: float) -> Iterator[object]:
    """Let the live slot go back and forth. The publisher's lock keeps publications out meanwhile."""
    stop, count = threading.Event(), [0]
    if not every:
        yield lambda: "no flips"
        return
    with publisher_session(Limits.from_settings()) as publisher:
        row = publisher.conn.execute(OTHER_SLOT).fetchone()
        if row is None or row[3] is None:
            yield lambda: "no flips: one slot has been published so far, run another night"
            return
        live, other = row[:3], row[3:]

        def back_and_forth() -> None:
            while not stop.wait(every):
                count[0] += 1
                _point(publisher.conn, other if count[0] % 2 else live)

        thread = threading.Thread(target=back_and_forth)
        thread.start()
        try:
            yield lambda: f"{count[0]} flips"
        finally:
            stop.set()
            thread.join()
            _point(publisher.conn, live)


def _point(connection: psycopg.Connection, to: tuple[str, int, int]) -> None:
    connection.execute("update ops.live set slot = %s, build_id = %s, publication_id = %s", to)


@contextmanager
def whole_publication() -> Iterator[object]:
    """Build what is admitted now for the published night, audit it and publish it, over and over."""
    with session("owner") as owner:
        row = owner.execute("select p.night from ops.live join ops.publication as p using (publication_id)").fetchone()
    if row is None:
        raise SystemExit("nothing is published: run a night first")
    stop, seconds, words = threading.Event(), list[float](), list[str]()

    def publish() -> None:
        script = (
            "import datetime, sys\nfrom yingshang import publish\n"
            "built = publish.build(datetime.date.fromisoformat(sys.argv[1]), 'cli:bench')\n"
            "publish.audit(built.build_id)\npublish.publish(built.build_id, 'cli:bench')\n"
        )
        while not stop.is_set():
            began = time.monotonic()
            done = subprocess.run(
                [sys.executable, "-c", script, str(row[0])], capture_output=True, text=True, timeout=3600, check=False
            )
            if done.returncode:
                words.append(done.stderr.strip().splitlines()[-1])
                return
            seconds.append(time.monotonic() - began)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield lambda: "; ".join([f"{len(seconds)} publications of {[round(one) for one in seconds]} s", *words])
    finally:
        stop.set()
        thread.join()


def report(measured: Measured, clients: int, beside: str, goal: float) -> bool:
    """Print the table; whether nothing failed and the goal is met."""
    print(f"{'query':<28} {'rows':>7} {'asked':>7} {'p50 ms':>8} {'p95 ms':>8} {'max ms':>8}")
    for name, found in sorted(measured.milliseconds.items()):
        p50, p95, most = np.percentile(found, [50, 95, 100])
        print(f"{name:<28} {measured.rows[name]:>7} {len(found):>7} {p50:>8.1f} {p95:>8.1f} {most:>8.1f}")
    every = [one for found in measured.milliseconds.values() for one in found]
    if not every:
        print(json.dumps(measured.failures[:5], ensure_ascii=False, indent=1))
        return False
    p50, p95, most = np.percentile(every, [50, 95, 100])
    print(f"{'all':<28} {'':>7} {len(every):>7} {p50:>8.1f} {p95:>8.1f} {most:>8.1f}")
    verdict = "met" if p95 <= goal else "missed"
    print(f"{clients} clients, {beside}, {len(measured.failures)} failed; goal p95 <= {goal:.0f} ms {verdict}")
    for failure in measured.failures[:5]:
        print(f"  {failure}")
    return p95 <= goal and not measured.failures


if __name__ == "__main__":
    main()
