"""What `make bi` says when it can't go on: one line, and an exit code. No Superset is needed."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from psycopg import sql
from tests.conftest import Warehouse, use_state

from bi import environment, server
from bi.__main__ import main
from localpg import free_port
from yingshang.warehouse.roles import init_warehouse

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.argv", ["bi", "run"])
    monkeypatch.setenv("YINGSHANG_BI_VENV", str(tmp_path / "none"))
    monkeypatch.setattr(environment, "_run", lambda command: pytest.fail(f"it went on to {command}"))


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line."""
    assert main() == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def test_without_a_demo_it_says_how_to_start_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_state(monkeypatch, tmp_path)
    assert "make demo" in said(capsys)


def test_before_the_first_publication_it_says_so(capsys: pytest.CaptureFixture[str], warehouse: Warehouse) -> None:
    assert said(capsys) == ("bi: the warehouse has published nothing yet (尚未发布): run a night first (`make demo`)")


def test_a_password_that_has_expired_is_told_and_renewed(
    capsys: pytest.CaptureFixture[str], warehouse: Warehouse
) -> None:
    with warehouse.admin() as admin:
        row = admin.execute("select rolpassword from pg_authid where rolname = 'yingshang_bi_reader'").fetchone()
        assert row
        try:
            admin.execute("alter role yingshang_bi_reader valid until '2020-01-01'")
            line = said(capsys)
            init_warehouse(warehouse.dsn)
            assert "published nothing yet" in said(capsys), "it is renewed"
        finally:  # logins are of the whole server
            admin.execute(
                sql.SQL("alter role yingshang_bi_reader password {} valid until 'infinity'").format(sql.Literal(row[0]))
            )
    assert "refuses connection 'warehouse_bi_reader': its password has expired or was changed (口令已过期" in line
    assert "`yingshang warehouse init` renews it" in line
    assert "make demo" not in line, "another demo does not help"


def test_a_warehouse_that_does_not_answer_is_told_without_its_password(
    capsys: pytest.CaptureFixture[str], warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE_BI_READER", "postgresql://nobody:secret-word@127.0.0.1:1/none")
    line = said(capsys)
    assert "no warehouse to show: the warehouse at 127.0.0.1:1/none does not answer" in line
    assert line.endswith("Is the demo running? `make demo` starts it")
    assert "secret-word" not in line


def test_the_benchmark_of_dashboards_says_what_is_missing(warehouse: Warehouse) -> None:
    bench = [sys.executable, str(ROOT / "tests" / "bench" / "bench_bi.py"), "--clients", "1", "--seconds", "1"]
    done = subprocess.run(bench, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "bench-bi: the warehouse has published nothing yet (尚未发布): run a night first (`make demo`)\n"
    )


def test_a_busy_port_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, warehouse: Warehouse
) -> None:
    monkeypatch.setattr(server, "check_published", lambda: None)
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("YINGSHANG_BI_PORT", str(port))
        line = said(capsys)
    assert f"port {port} for Superset is in use" in line
    assert "YINGSHANG_BI_PORT" in line


def test_a_port_that_is_none_is_refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YINGSHANG_BI_PORT", "http")
    assert "YINGSHANG_BI_PORT='http' is not a port" in said(capsys)


def test_too_small_a_disk_is_refused_before_anything_is_installed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, warehouse: Warehouse
) -> None:
    monkeypatch.setattr(server, "check_published", lambda: None)
    monkeypatch.setenv("YINGSHANG_BI_PORT", str(free_port()))
    monkeypatch.setattr(environment, "NEEDED_GIB", 1_000_000)
    line = said(capsys)
    assert "GiB free" in line
    assert "YINGSHANG_BI_VENV" in line
