"""The scripts of include/deploy/ against real PostgreSQL, Airflow apart: secrets, set-up, backup, loss, restore."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.support.compose import COMPOSE, DEPLOY, SERVICES, environment

from localpg import Cluster
from yingshang.settings import PROJECT_ROOT

BIN = Path(sys.executable).parent
RECORDER = """#!/bin/sh
echo "$*" >>"$AIRFLOW_HOME/said"
test -z "${YINGSHANG_WAREHOUSE_DSN:-}"
"""


class Machine:
    """What the containers have: a server, secrets, volumes."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.folder, self.cluster = folder, cluster
        self.secrets, self.state, self.backups = folder / "secrets", folder / "state", folder / "backups"
        self.programs = folder / "programs"
        self.programs.mkdir()
        (self.programs / "airflow").write_text(RECORDER)
        (self.programs / "airflow").chmod(0o755)

    def run(self, *command: str) -> str:
        """Run a command of the compose file with its environment, places apart."""
        places = {
            "YINGSHANG_STATE": str(self.state),
            "YINGSHANG_CONNECTIONS_FILE": str(self.secrets / "yingshang" / "connections.json"),
            "YINGSHANG_KEYS_FILE": str(self.secrets / "yingshang" / "keys.json"),
            "AIRFLOW_HOME": str(self.state / "airflow"),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.state / "airflow" / "passwords.json"),
            "SECRETS": str(self.secrets),
            "BACKUPS": str(self.backups),
            "SERVER": f"127.0.0.1:{self.cluster.port}",
            "YINGSHANG_PLAINTEXT_HOSTS": "",
            "PATH": ":".join(map(str, (self.programs, BIN, self.cluster.bin_dir, os.environ["PATH"]))),
        }
        done = subprocess.run(
            command,
            cwd=PROJECT_ROOT,
            env=environment("init") | places,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def query(self, database: str, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.cluster.superuser_dsn(database), autocommit=True) as admin:
            return admin.execute(query).fetchall()  # type: ignore[call-overload]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """With its secrets, and a server like the one of the compose file: the database yingshang, and nothing in it."""
    secrets = tmp_path / "secrets"
    subprocess.run(["sh", DEPLOY / "secrets.sh", secrets], check=True, capture_output=True)
    cluster = Cluster(tmp_path / "pg", settings={"fsync": "off", "shared_buffers": "64MB"})
    try:
        yield Machine(tmp_path, start(cluster, secrets))
    finally:
        cluster.destroy()


def start(cluster: Cluster, secrets: Path) -> Cluster:
    """Start the server as its image does: with the password of the file and an empty database."""
    cluster.base.mkdir(exist_ok=True)
    shutil.copy(secrets / "postgres_password", cluster.base / "superuser.password")
    cluster.start()
    with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as admin:
        admin.execute("create database yingshang")
    return cluster


@pytest.mark.timeout(300)
def test_set_up_backup_loss_and_restore(machine: Machine) -> None:
    machine.run("sh", "include/deploy/init.sh")
    said = (machine.state / "airflow" / "said").read_text().splitlines()
    assert said == ["db migrate", "pools import /opt/yingshang/include/registry/pools.json"]
    assert SERVICES["init"]["command"] == ["sh", "include/deploy/init.sh"]
    password = (machine.secrets / "airflow_admin_password").read_text()
    assert json.loads((machine.state / "airflow" / "passwords.json").read_text()) == {"admin": password}

    machine.run(*SERVICES["bi-state"]["command"])
    bi = machine.state / "bi"
    assert {path.name for path in bi.iterdir()} >= {"bundle", "users.json", "logins.json", "secret_key"}
    users, logins = (json.loads((bi / name).read_text()) for name in ("users.json", "logins.json"))
    assert {one["conn_id"] for one in users["users"].values()} == set(logins)
    assert "warehouse_owner" not in logins and len(logins) > 5

    # nothing that goes on running has the administrator's password
    kept = [path for path in machine.state.rglob("*") if path.is_file()]
    kept.append(machine.secrets / "yingshang" / "connections.json")
    administrators = (machine.secrets / "postgres_password").read_text()
    assert not [path for path in kept if administrators in path.read_text(errors="replace")]
    assert set(COMPOSE["secrets"]) == {path.name for path in machine.secrets.iterdir() if path.is_file()}

    for name in ("airflow", "superset"):
        dsn = (machine.secrets / f"{name}_metadata_dsn").read_text()
        with psycopg.connect(on(dsn, machine, name)) as own:
            own.execute("create table kept as select 1 as number")
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(on(dsn, machine, "yingshang"))
    landed = machine.state / "landing" / "trading" / "lot" / "2024-08-13"
    landed.mkdir(parents=True)
    (landed / "210100-9.parquet").write_text("a file of a load that was killed")

    told = machine.run("sh", "include/deploy/backup.sh")
    made = Path(told.splitlines()[-1].removesuffix(": complete"))
    assert sorted(path.name for path in made.iterdir()) == ["airflow.dump", "superset.dump", "warehouse"]

    migrations = machine.query("yingshang", "select name from ops.migration order by 1")
    machine.cluster.destroy()
    shutil.rmtree(machine.state)
    start(machine.cluster, machine.secrets)
    told = machine.run("sh", "include/deploy/restore.sh", str(made))
    assert "none published" in told
    assert machine.query("yingshang", "select name from ops.migration order by 1") == migrations
    assert [machine.query(name, "select * from kept") for name in ("airflow", "superset")] == [[(1,)], [(1,)]]
    aside = list((machine.state / "landing").rglob("210100-9.parquet"))
    assert [path.relative_to(machine.state / "landing").parts[0][:9] for path in aside] == ["restored-"]
    machine.run("sh", "include/deploy/init.sh")  # what comes next; it can be run again and again


def on(dsn: str, machine: Machine, database: str) -> str:
    """A metadata DSN of the secrets, from this machine and to another database."""
    login = dsn.removeprefix("postgresql+psycopg2://").partition("@")[0]
    return f"postgresql://{login}@127.0.0.1:{machine.cluster.port}/{database}"
