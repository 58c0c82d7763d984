"""Of silent differences how many are found, and how many bytes that moves against reading everything again.

By class of source: a table like trading.lot in PostgreSQL, an API, drops. Into each the same numbers of lost, changed
and deleted rows are put without a word; then it is compared in a dry run.

    python tests/bench/bench_reconcile.py --rows 200000 --read-whole 5000 --each 20
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from localpg import Cluster

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

NODES = {"digests": "210100", "full": "210200", "drops": "210102"}
MAKE = """
insert into bid_section
select
    'E210100' || lpad(i::text, 13, '0') || '001', 'E210100' || lpad(i::text, 13, '0'),
    '辽宁省沈阳市第' || i || '号道路改造工程施工标段',
    format('A01-91210100MA%s-20240813-%s-0', lpad(i::text, 8, '0'), lpad(mod(i, 1000000)::text, 6, '0')),
    '210102', 'PLACE' || mod(i, 50), i * 1.37, '156', mod(i, 2)::text, null, '20240813', 'PLAT' || mod(i, 9), 'PUB21',
    to_char(timestamp '2024-08-13 18:00' - i * interval '41 seconds', 'YYYYMMDDHH24MISS'), '0'
from generate_series(1, {rows}) i
"""
COLUMNS = """bid_section_code, tender_project_code, bid_section_name, unified_deal_code, region_code, tra_place_code,
    contract_reckon_price, currency_code, price_unit, remote_evaluation_region, create_time, platform_code,
    pub_service_plat_code, data_timestamp, is_delete"""


def main() -> None:
    """Make the sources, read a night, fall silent, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="rows of the PostgreSQL source")
    parser.add_argument("--read-whole", type=int, default=5_000, help="rows of the API and of the drop")
    parser.add_argument("--each", type=int, default=20, help="rows lost, rows changed, rows deleted")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="yingshang-bench-"))
    os.environ["YINGSHANG_STATE"] = str(folder / "state")
    cluster = Cluster(folder / "pg", settings={"fsync": "off", "autovacuum_naptime": "300s"})
    try:
        measure(cluster.start(), folder, given.rows, given.read_whole, given.each)
    finally:
        cluster.destroy()
        shutil.rmtree(folder, ignore_errors=True)


def measure(cluster: Cluster, folder: Path, rows: int, whole: int, each: int) -> None:
    """One night of three nodes, silence, and the comparison of each."""
    from tests.support.http_city import SECRET, City, served
    from tests.support.ingest import NIGHT, Fleet, admit_all, csv_of, lot, pg_source, write_drop

    from yingshang import secrets
    from yingshang.ingest import ingest_node, open_night
    from yingshang.ingest.reconcile import reconcile_node
    from yingshang.warehouse.roles import init_warehouse

    with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as admin:
        admin.execute("create database warehouse")
    init_warehouse(cluster.superuser_dsn("warehouse"))
    secrets.init_keys()
    os.environ["YINGSHANG_REGISTRY"] = str(folder / "registry")
    fleet = Fleet(folder / "registry")
    for method, connector in (("digests", "postgres"), ("full", "http"), ("drops", "files")):
        fleet.add(NODES[method], connector, "lot", form="csv-gb18030" if connector == "files" else "")
    city, outbox = City(), folder / "outbox"
    city.rows = [lot(n, node=NODES["full"]) for n in range(whole)]
    city.rows.append(lot(whole, node=NODES["full"], stamp="20240813200000"))
    sent = [lot(n, node=NODES["drops"]) for n in range(whole)]
    drop = write_drop(outbox, "BID_SECTION", "20240813", csv_of(sent), whole, node=NODES["drops"])
    with pg_source(cluster, "exchange", "lot") as source, served(city) as port:
        source.execute(f"alter table bid_section rename to old; create table bid_section as select {COLUMNS} from old")
        source.execute(MAKE.format(rows=rows))
        source.execute("create unique index on bid_section (bid_section_code)")
        secrets.save_connections(
            {
                f"trading_{NODES['digests']}": source.dsn,
                f"trading_{NODES['full']}": f"http://client:{SECRET}@127.0.0.1:{port}/city/1",
                f"trading_{NODES['drops']}": outbox.as_uri(),
            }
        )
        open_night(NIGHT, "bench")
        for node in NODES.values():
            ingest_node("trading", node, "bench")
        admit_all()

        places = f"select bid_section_code from bid_section order by md5(bid_section_code) limit {each}"
        source.execute(f"delete from bid_section where bid_section_code in ({places})")
        source.execute(f"update bid_section set platform_code = 'X' where bid_section_code in ({places})")
        source.insert("lot", *(lot(90_000_000 + n, node=NODES["digests"], stamp="20240801100000") for n in range(each)))
        del city.rows[:each]
        for row in city.rows[:each]:
            row["PLATFORM_CODE"] = "X"
        city.rows += [lot(90_000_000 + n, node=NODES["full"], stamp="20240801100000") for n in range(each)]
        changed = [row | {"PLATFORM_CODE": "X"} for row in sent[each : 2 * each]]
        drop.write_bytes(csv_of([*changed, *sent[2 * each :]]))  # the manifest is left as it was

        print(f"{each} rows lost, changed and deleted each; seconds on this machine\n")
        print("| source | rows | lost | changed | deleted | bytes moved | full re-read | share | seconds |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
        for method, node in NODES.items():
            started = time.monotonic()
            (one,) = reconcile_node("trading", node, f"bench-{method}", dry_run=True).compared
            seconds = time.monotonic() - started
            found = " | ".join(f"{n} of {each}" for n in (one.lost_rows, one.changed_rows, one.deleted_rows))
            share = one.bytes_moved / one.bytes_full
            print(
                f"| {method} | {one.warehouse_rows:,} | {found} | {one.bytes_moved:,} | {one.bytes_full:,} |"
                f" {share:.2%} | {seconds:.1f} |"
            )
            for note in one.notes:
                print(f"  {note}")


if __name__ == "__main__":
    main()
