"""What a publication costs readers, and where a publisher's time goes.

Eight readers read small slots (three marts) as fast as they can: alone, and while slots are built and published one
after the other, by turns in the same run. Reported: reads per second and slow reads of both, and the publisher's
seconds by step.

    python tests/bench/bench_publish.py --rows 200000 --pairs 3 --cycles 5
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.publishing import SqlBuilder, cycle, eight_readers, publisher  # noqa: E402

from localpg import Cluster  # noqa: E402
from yingshang.warehouse.roles import init_warehouse  # noqa: E402


class Steps:
    """Seconds between one step's name and the next."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self._last: tuple[str, float] | None = None

    def at(self, step: str) -> None:
        now = time.monotonic()
        if self._last:
            self.seconds[self._last[0]].append(now - self._last[1])
        self._last = (step.split(" ")[0] if step.startswith("detach") else step, now)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000, help="rows per mart")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--cycles", type=int, default=5, help="publications per pair")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["YINGSHANG_STATE"] = f"{folder}/state"
        cluster = Cluster(Path(folder) / "pg", settings={"shared_buffers": "256MB"})
        try:
            cluster.start()
            init_warehouse(cluster.superuser_dsn())
            report(measure(arguments.rows, arguments.pairs, arguments.cycles))
        finally:
            cluster.destroy()


def measure(rows: int, pairs: int, cycles: int) -> tuple[list[tuple[float, float]], list[tuple[float, float]], Steps]:
    """(reads per second, worst read in seconds) alone and during publications, by pair; the publisher's steps."""
    steps = Steps()
    one = publisher(SqlBuilder(rows=rows), at_step=steps.at)
    cycle(one)
    cycle(one)
    steps.seconds.clear()
    alone, during = [], []
    for _ in range(pairs):
        start = time.monotonic()
        with eight_readers() as tally:
            for _ in range(cycles):
                cycle(one)
            took = time.monotonic() - start
        assert not tally.mixed, tally.mixed[:3]
        assert not tally.failed, tally.failed[:3]
        during.append((tally.reads / took, tally.worst_seconds))
        start = time.monotonic()
        with eight_readers() as tally:
            time.sleep(took)
        alone.append((tally.reads / took, tally.worst_seconds))
    return alone, during, steps


def report(found: tuple[list[tuple[float, float]], list[tuple[float, float]], Steps]) -> None:
    alone, during, steps = found
    for name, runs in (("alone", alone), ("during publications", during)):
        rates, worst = [run[0] for run in runs], max(run[1] for run in runs)
        print(f"readers {name}: {statistics.median(rates):.0f} reads/s, worst read {worst:.2f} s")
    ratio = statistics.median(a[0] / d[0] for a, d in zip(alone, during, strict=True))
    print(f"ratio alone / during: {ratio:.2f} (building on the same machine included)")
    steps.seconds.pop("flipped", None)  # from the end of one cycle to the next
    for step, seconds in steps.seconds.items():
        print(f"  {step:20} median {statistics.median(seconds):.3f} s, worst {max(seconds):.3f} s")


if __name__ == "__main__":
    main()
