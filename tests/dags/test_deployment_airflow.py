"""docker-compose.yml as Airflow understands it: commands, names of settings, secrets that come from files."""

import json
from pathlib import Path

import pytest
from airflow.cli.cli_parser import get_parser
from airflow.configuration import conf
from tests.support.compose import DEPLOY, SERVICES, environment

from demo.airflow import Airflow
from demo.layout import layout

COMMAND = "_CMD"
OWN = {
    "AIRFLOW__CORE__DAGS_FOLDER": "a place in the image",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": "a place in the volume",  # pragma: allowlist secret: a file
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "another container",
    "AIRFLOW__API__HOST": "the port is published on loopback by the engine",
    "AIRFLOW__API__PORT": "its own network",
    "AIRFLOW__API__BASE_URL": "where people reach it",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": "a place in the volume",
    "AIRFLOW__SECRETS__BACKEND_KWARGS": "a place of a secret",  # pragma: allowlist secret: a file
}
"""What is set otherwise than in the demo, and why."""


def test_every_command_exists() -> None:
    parser = get_parser()
    commands = [one["command"] for one in SERVICES.values() if one["command"][0] == "airflow"]
    script = (DEPLOY / "init.sh").read_text(encoding="utf-8")
    commands += [line.split() for line in script.splitlines() if line.startswith("airflow ")]
    assert len(commands) == 6
    for command in commands:
        assert parser.parse_args(command[1:]).func


def test_settings_are_those_of_the_demo_but_for_places_and_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YINGSHANG_STATE", str(tmp_path))
    demo = Airflow(layout(), "postgresql://airflow:x@127.0.0.1:1/airflow").environment()
    ours = environment("scheduler")
    here = {key: value for key, value in demo.items() if key.startswith("AIRFLOW__")}
    there = {key: value for key, value in ours.items() if key.startswith("AIRFLOW__")}
    assert {key.removesuffix(COMMAND) for key in there} == set(here)
    secret = {key.removesuffix(COMMAND) for key in there if key.endswith(COMMAND)}
    differs = {key for key in here if key not in secret and here[key] != there[key]}
    assert differs == set(OWN)
    assert json.loads(there["AIRFLOW__SECRETS__BACKEND_KWARGS"]) == {
        "connections_file_path": ours["YINGSHANG_CONNECTIONS_FILE"]
    }


def test_every_setting_is_one_of_airflows_and_a_secret_is_read_from_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = 0
    for key, value in environment("scheduler").items():
        if not key.startswith("AIRFLOW__"):
            continue
        section, option = key.removeprefix("AIRFLOW__").removesuffix(COMMAND).lower().split("__")
        assert option in conf.configuration_description[section]["options"], key
        if key.endswith(COMMAND):
            name = value.removeprefix("cat /run/secrets/")
            assert name in SERVICES["scheduler"]["secrets"], name
            (tmp_path / name).write_text(f"what stands in {name}")
            monkeypatch.delenv(key.removesuffix(COMMAND), raising=False)
            monkeypatch.setenv(key, f"cat {tmp_path / name}")
            assert conf.get(section, option) == f"what stands in {name}"
            read += 1
    assert read == 4
