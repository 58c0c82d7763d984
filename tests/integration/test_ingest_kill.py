"""kill -9 anywhere: nothing half done is left, and a retry loads everything once. And how much memory a batch takes."""

import io
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import xlsxwriter
from tests.conftest import Warehouse
from tests.support.ingest import NIGHT, NODE, Fleet, PgSource, csv_of, lot, pg_node, write_drop

from localpg import Cluster
from yingshang.ingest import ingest_node, open_night
from yingshang.settings import settings

MAKE = """
    insert into bid_section (bid_section_code, tender_project_code, data_timestamp, is_delete, price_unit,
        contract_reckon_price, bid_section_name, unified_deal_code, region_code, platform_code)
    select 'E210100' || lpad(i::text, 13, '0') || '001', 'E210100' || lpad(i::text, 13, '0'),
        to_char(timestamp '2022-01-01' + i * interval '41 seconds', 'YYYYMMDDHH24MISS'), '0', '0', i * 0.01,
        '辽宁省沈阳市第' || i || '号道路改造工程施工标段',
        'A01-91210100MA00000000-20240813-' || lpad(mod(i, 1000000)::text, 6, '0') || '-0', '210102', 'PLAT' || mod(i, 9)
    from generate_series(1, {rows}) i"""
MEMORY_LIMIT_MB = 400


@pytest.fixture
def source(
    pg_server: Cluster, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PgSource]:
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))
    with pg_node(warehouse, pg_server, tmp_path / "registry", "lot", clock="20260101000000") as source:
        yield source


def child(before: str) -> "subprocess.CompletedProcess[str]":
    """Ingest the node in a process of its own; ``before`` runs first in it."""
    program = f"""
        import os, re, signal
        from pathlib import Path
        {before}
        from yingshang.ingest import ingest_node
        report = ingest_node("trading", "{NODE}", "run-1")
        peak_kb = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
        print(report.raw_rows, int(peak_kb) // 1024)
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=240, check=False,
        env=dict(os.environ),
    )  # fmt: skip


KILL = "os.kill(os.getpid(), signal.SIGKILL)"
MOMENTS = {
    "between landing and commit": (
        "from yingshang.warehouse import ledger",
        f"ledger.insert_batch = lambda *_: {KILL}",
    ),
    "in the middle of COPY": (
        "from yingshang.ingest import landing",
        "write, written = landing.LandingFile.write, []",
        "def spoilt(self, batch):",
        "    written.append(batch.num_rows)",
        f"    return {KILL} if len(written) > 3 else write(self, batch)",
        "landing.LandingFile.write = spoilt",
    ),
    "before the landed file has its name": (
        "from yingshang.ingest import landing",
        f"landing._LocalFolder.move = lambda *_: {KILL}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_leaves_nothing_and_a_retry_loads_everything_once(
    warehouse: Warehouse, source: PgSource, moment: str
) -> None:
    source.execute(MAKE.format(rows=60_000))
    open_night(NIGHT, "run-1")
    killed = child(("\n" + 8 * " ").join(MOMENTS[moment]))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with warehouse.admin() as admin:
        admin.execute("select pg_sleep(2)")  # the back end of the killed process looks for its client each second
        assert admin.execute("select count(*) from raw.trading__lot").fetchone() == (0,)
        assert admin.execute("select count(*) from ops.batch").fetchone() == (0,)
        report = ingest_node("trading", NODE, "run-1")
        assert report.raw_rows == 60_000
        assert admin.execute("select count(*), count(distinct _batch_id) from raw.trading__lot").fetchone() == (
            60_000,
            1,
        )
        uris = [row[0] for row in admin.execute("select landing_uri from ops.batch").fetchall()]
    assert all(Path(uri.removeprefix("file://")).is_file() for uri in uris)
    assert not list(settings().state.rglob("*.partial"))


def test_a_batch_of_any_size_fits_into_400_mb(warehouse: Warehouse, source: PgSource) -> None:
    rows = 700_000
    source.execute(MAKE.format(rows=rows))
    open_night(NIGHT, "run-1")
    done = child("")
    assert done.returncode == 0, done.stderr
    loaded, peak_mb = map(int, done.stdout.split())
    assert loaded == rows
    assert peak_mb < MEMORY_LIMIT_MB


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_a_great_drop_fits_into_400_mb(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    rows = {"csv": 250_000, "xlsx": 70_000}[suffix]
    monkeypatch.setenv("YINGSHANG_REGISTRY", str(tmp_path / "registry"))
    Fleet(tmp_path / "registry").add(NODE, "files", "lot", form="xlsx" if suffix == "xlsx" else "csv-gb18030")
    warehouse.add_connections({f"trading_{NODE}": (tmp_path / "outbox").as_uri()})
    content = csv_of([lot(n) for n in range(rows)]) if suffix == "csv" else _workbook(rows)
    write_drop(tmp_path / "outbox", "BID_SECTION", "20240813", content, rows, suffix=suffix)
    open_night(NIGHT, "run-1")
    done = child("")
    assert done.returncode == 0, done.stderr
    loaded, peak_mb = map(int, done.stdout.split())
    assert loaded == rows
    assert peak_mb < MEMORY_LIMIT_MB


def _workbook(rows: int) -> bytes:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"constant_memory": True}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, list(lot(0)))
        for number in range(rows):
            sheet.write_row(number + 1, 0, ["" if value is None else value for value in lot(number).values()])
    return file.getvalue()
