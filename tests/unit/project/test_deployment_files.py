"""docker-compose.yml, which can't be run everywhere: it parses, and what it runs exists in this environment."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from yingshang.settings import PROJECT_ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT_ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
BIN = Path(sys.executable).parent


def test_airflows_four_processes_and_the_warehouse_are_services() -> None:
    services = COMPOSE["services"]
    assert set(services) == {"postgres", "init", "api-server", "scheduler", "dag-processor", "triggerer"}
    from demo.airflow import COMPONENTS

    assert {services[name]["command"][1] for name in COMPONENTS} == set(COMPONENTS)


@pytest.mark.parametrize("arguments", [["keys", "init"], ["warehouse", "init"]])
def test_the_commands_of_init_exist(arguments: list[str]) -> None:
    script = COMPOSE["services"]["init"]["command"][-1]
    assert f"yingshang {' '.join(arguments)}" in script
    done = subprocess.run([BIN / "yingshang", *arguments, "--help"], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_shell_script_of_init_is_valid() -> None:
    script = COMPOSE["services"]["init"]["command"][-1].replace("$$", "$")
    subprocess.run([shutil.which("sh") or "/bin/sh", "-n", "-c", script], check=True)


def test_no_secret_is_written_in_it() -> None:
    text = (PROJECT_ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    for line in text.splitlines():
        if re.search(r"(PASSWORD|SECRET|FERNET_KEY)\b.*:\s", line):
            assert "${" in line, line


def test_only_loopback_is_published() -> None:
    for service in COMPOSE["services"].values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), port


def test_only_the_set_up_has_an_administrators_dsn_and_airflow_a_login_of_its_own() -> None:
    """Nothing that goes on running works as superuser."""
    services = COMPOSE["services"]
    with_dsn = {name for name, one in services.items() if "YINGSHANG_WAREHOUSE_DSN" in (one.get("environment") or {})}
    assert with_dsn == {"init"}
    for name in ("api-server", "scheduler", "dag-processor", "triggerer"):
        metadata = services[name]["environment"]["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
        assert metadata.startswith("postgresql+psycopg2://airflow:${AIRFLOW_DB_PASSWORD"), name
