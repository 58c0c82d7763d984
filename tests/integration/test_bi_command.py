"""What `make bi` says when it can't go on: one line, and an exit code. No Superset is needed."""

import socket
from pathlib import Path

import pytest
from tests.conftest import Warehouse, use_state

from bi import environment, server
from bi.__main__ import main
from localpg import free_port


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
    assert "published nothing yet" in said(capsys)


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
