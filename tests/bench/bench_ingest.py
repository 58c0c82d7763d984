"""How much the whole ingest costs, against the least that moving the rows can cost.

2 million rows of a table like trading.lot go from a PostgreSQL database through checks, digest, landing and COPY into
raw, and the same rows through a bare pipe `psql COPY TO (binary) | psql COPY FROM (binary)` into a table like
raw.trading__lot, with the same indexes. Both run by turns on the same server, in pairs; the ratio is of the medians.
An ingest is a process of its own; its libraries are imported before the clock starts, as Airflow's workers have them.

    make bench        or: python tests/bench/bench_ingest.py --rows 2000000 --pairs 3
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from localpg import Cluster

GOAL = 1.5
LIBRARIES = (
    "polars",
    "polars_hash",
    "pyarrow.parquet",
    "pyarrow.compute",
    "adbc_driver_postgresql",
    "yingshang.ingest.batch",
)
NODE = "210100"
NIGHT = "2024-08-13"
COLUMNS = (
    "bid_section_code", "tender_project_code", "bid_section_name", "unified_deal_code", "region_code", "tra_place_code",
    "contract_reckon_price", "currency_code", "price_unit", "remote_evaluation_region", "create_time", "platform_code",
    "pub_service_plat_code", "data_timestamp", "is_delete",
)  # fmt: skip
MAKE = """
create table bid_section as
select
    'E210100' || lpad(i::text, 13, '0') || '001' as bid_section_code,
    'E210100' || lpad(i::text, 13, '0') as tender_project_code,
    '辽宁省沈阳市第' || i || '号道路改造工程施工标段' as bid_section_name,
    format(
        'A0%s-91210100MA%s-2024%s%s-%s-%s', 1 + mod(i, 6), lpad(mod(i, 100000000)::text, 8, '0'),
        lpad((1 + mod(i, 12))::text, 2, '0'), lpad((1 + mod(i, 28))::text, 2, '0'),
        lpad(mod(i, 1000000)::text, 6, '0'), mod(i, 10)
    ) as unified_deal_code,
    '210102' as region_code,
    'PLACE' || mod(i, 50) as tra_place_code,
    mod(i, 100000000) * 1.37 as contract_reckon_price,
    '156' as currency_code,
    mod(i, 2)::text as price_unit,
    case when mod(i, 20) = 0 then '210200' end as remote_evaluation_region,
    to_char(timestamp '2022-01-01' + i * interval '37 seconds', 'YYYYMMDDHH24MISS') as create_time,
    'PLAT' || mod(i, 9) as platform_code,
    'PUB21' as pub_service_plat_code,
    to_char(timestamp '2022-01-01' + i * interval '41 seconds', 'YYYYMMDDHH24MISS') as data_timestamp,
    case when mod(i, 100) = 0 then '1' else '0' end as is_delete
from generate_series(1, {rows}) i
"""


def main() -> None:
    """Run the pairs and print the ratio."""
    arguments = _arguments()
    if arguments.child:
        _ingest(arguments.child)
        return
    folder = Path(tempfile.mkdtemp(prefix="yingshang-bench-"))
    cluster = Cluster(folder / "pg")
    try:
        _prepare(cluster, folder, arguments.rows)
        _run(cluster, arguments)
    finally:
        cluster.destroy()
        shutil.rmtree(folder, ignore_errors=True)


def _run(cluster: Cluster, arguments: argparse.Namespace) -> None:
    pipes: list[Cost] = []
    ingests: list[Cost] = []
    memory: list[float] = []
    for number in range(1, arguments.pairs + 1):
        order = (True, False) if number % 2 else (False, True)
        for is_pipe in order:
            _rest(cluster)
            before = _server_cpu(cluster)
            if is_pipe:
                seconds, client = _pipe(cluster)
            else:
                told = _child(number)
                assert told["rows"] == arguments.rows, told
                seconds, client = told["seconds"], told["cpu"]
                memory.append(told["peak_mb"])
            (pipes if is_pipe else ingests).append(Cost(seconds, client, _server_cpu(cluster) - before))
        print(
            f"pair {number}: pipe {pipes[-1]}, ingest {ingests[-1]},"
            f" ratio {ingests[-1].seconds / pipes[-1].seconds:.2f}, "
            f"peak {memory[-1]:.0f} MB",
            flush=True,
        )
    pipe, ingest = _median(pipes), _median(ingests)
    busy = (ingest.client + ingest.server) / (pipe.client + pipe.server)
    print(
        f"{arguments.rows:,} rows of trading.lot, {arguments.pairs} pairs, {os.cpu_count()} cores, medians: "
        f"pipe {pipe}, ingest {ingest}\n"
        f"ratio {ingest.seconds / pipe.seconds:.2f} (goal {GOAL}; of processor time {busy:.2f}), "
        f"peak memory of the ingest process {max(memory):.0f} MB"
    )
    if os.getloadavg()[0] > 2 * (os.cpu_count() or 1):
        print("the machine was busy with other work: the ratio of processor time says more than that of wall clocks")


@dataclass(frozen=True)
class Cost:
    """Wall clock, and processor seconds of the clients and of PostgreSQL."""

    seconds: float
    client: float
    server: float

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s (cpu {self.client:.1f} + {self.server:.1f})"


def _median(costs: list[Cost]) -> Cost:
    return Cost(*(statistics.median(getattr(one, name) for one in costs) for name in ("seconds", "client", "server")))


def _server_cpu(cluster: Cluster) -> float:
    """Processor seconds of all back ends that have ended."""
    time.sleep(0.3)
    ticks = Path(f"/proc/{cluster.pid}/stat").read_text().rsplit(")", 1)[1].split()[13:15]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def _prepare(cluster: Cluster, folder: Path, rows: int) -> None:
    """Source, warehouse, state; in the environment of this process, which its children inherit."""
    os.environ["YINGSHANG_STATE"] = str(folder / "state")
    os.environ["YINGSHANG_REGISTRY"] = str(folder / "registry")
    from yingshang import secrets
    from yingshang.settings import PROJECT_ROOT
    from yingshang.warehouse.roles import init_warehouse

    cluster.start()
    with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as admin:
        admin.execute("create database source")
        admin.execute("create database warehouse")
    init_warehouse(cluster.superuser_dsn("warehouse"))
    secrets.init_keys()
    secrets.save_connections({f"trading_{NODE}": cluster.superuser_dsn("source")})
    (folder / "registry").mkdir()
    shutil.copy(PROJECT_ROOT / "include" / "registry" / "nodes.csv", folder / "registry" / "nodes.csv")
    (folder / "registry" / "quorum.csv").write_text(
        "system,required_nodes,min_share\ntrading,210000,0.8\n", encoding="utf-8"
    )
    (folder / "registry" / "provisions.csv").write_text(
        "system,dataset,node_code,connector,format,cadence,valid_from\n"
        f"trading,lot,{NODE},postgres,,daily,2022-01-01\n",
        encoding="utf-8",
    )
    with psycopg.connect(cluster.superuser_dsn("source"), autocommit=True) as source:
        source.execute(sql.SQL(MAKE).format(rows=sql.Literal(rows)))
        source.execute("vacuum analyze bid_section")
    with psycopg.connect(cluster.superuser_dsn("warehouse"), autocommit=True) as warehouse:
        warehouse.execute("create table raw.pipe (like raw.trading__lot including indexes)")
        for column in ("_batch_id", "_row", "_digest"):
            warehouse.execute(f"alter table raw.pipe alter {column} drop not null")


def _rest(cluster: Cluster) -> None:
    """The same start for every run: empty tables, no dirty pages."""
    with psycopg.connect(cluster.superuser_dsn("warehouse"), autocommit=True) as warehouse:
        warehouse.execute("truncate raw.pipe, raw.trading__lot")
        warehouse.execute("checkpoint")
    os.sync()


def _pipe(cluster: Cluster) -> tuple[float, float]:
    """Seconds, and processor seconds of both psql."""
    psql, listed = str(cluster.bin_dir / "psql"), ", ".join(COLUMNS)
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}
    used, started = _children_cpu(), time.monotonic()
    reader = subprocess.Popen(
        [psql, "-qXc", f"copy bid_section ({listed}) to stdout (format binary)", cluster.superuser_dsn("source")],
        stdout=subprocess.PIPE,
        env=environment,
    )
    writer = subprocess.run(
        [psql, "-qXc", f"copy raw.pipe ({listed}) from stdin (format binary)", cluster.superuser_dsn("warehouse")],
        stdin=reader.stdout,
        env=environment,
        check=True,
        timeout=600,
    )
    assert reader.wait(60) == 0 == writer.returncode
    return time.monotonic() - started, _children_cpu() - used


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _own_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _child(number: int) -> dict[str, float]:
    """One ingest in a process of its own, as Airflow runs it."""
    done = subprocess.run(
        [sys.executable, __file__, "--child", f"bench-{number}"],
        check=True,
        capture_output=True,
        text=True,
        timeout=600,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _ingest(run_id: str) -> None:
    import datetime as dt
    import importlib

    for module in LIBRARIES:
        importlib.import_module(module)
    from yingshang.ingest import ingest_node, open_night

    open_night(dt.date.fromisoformat(NIGHT), run_id)
    started, used = time.monotonic(), _own_cpu()
    report = ingest_node("trading", NODE, run_id)
    seconds = time.monotonic() - started
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    print(json.dumps({"seconds": seconds, "cpu": _own_cpu() - used, "rows": report.raw_rows, "peak_mb": peak}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
