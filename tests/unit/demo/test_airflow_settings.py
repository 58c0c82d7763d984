"""What the demo tells Airflow: where it listens, and where its secrets come from."""

import json
from pathlib import Path

import pytest
from tests.conftest import use_state

from demo.airflow import Airflow
from demo.layout import Layout
from yingshang import secrets
from yingshang.settings import settings


def test_airflow_listens_on_loopback_and_asks_the_connections_file_for_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_state(monkeypatch, tmp_path)
    told = Airflow(Layout(tmp_path, 1, 2), "postgresql://airflow:x@127.0.0.1:2/airflow").environment()
    assert told["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert told["AIRFLOW__API__BASE_URL"].startswith("http://127.0.0.1:")
    assert told["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"].startswith("http://127.0.0.1:")
    assert told["AIRFLOW__SECRETS__BACKEND"] == secrets.FILE_BACKEND
    assert json.loads(told["AIRFLOW__SECRETS__BACKEND_KWARGS"]) == {
        "connections_file_path": str(settings().connections)
    }
    assert told["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"
    for path in tmp_path.rglob("*.key"):
        assert path.stat().st_mode & 0o777 == 0o600, path.name
