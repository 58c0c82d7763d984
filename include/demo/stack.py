"""Everything the demo starts and stops, in order: PostgreSQL, the warehouse, the simulated province, Airflow."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from demo.airflow import Airflow
from demo.layout import DemoError, Layout, check_port, check_room
from demo.processes import Service, wait_until
from localpg import Cluster
from yingshang import secrets
from yingshang.warehouse.roles import init_warehouse

WAREHOUSE_DSN = "YINGSHANG_WAREHOUSE_DSN"


@dataclass(frozen=True)
class Options:
    """What a person may choose: size and seed of the province."""

    scale: float
    seed: int
    profile: str | None = None


class Stack:
    """The demo's services over one state folder; :meth:`up` and :meth:`down` may be called again and again."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.cluster = Cluster(layout.warehouse, port=layout.warehouse_port)
        self.province = Service("province", layout.run, layout.logs)
        self.airflow: Airflow | None = None

    def up(self, options: Options, say: Callable[[str], None]) -> Airflow:
        """Start what does not run yet; returns Airflow, healthy and with `nightly` unpaused."""
        check_room(self.layout.state, options.scale)
        self._check_province(options)
        say("PostgreSQL")
        if not self.cluster.is_running:
            check_port(self.layout.warehouse_port, "PostgreSQL", "YINGSHANG_WAREHOUSE_PORT")
        self.cluster.start()
        secrets.init_keys()
        say("warehouse: roles, ledger, raw tables")
        init_warehouse(os.environ.get(WAREHOUSE_DSN) or self._database("yingshang"))
        airflow = Airflow(self.layout, self._database("airflow"))
        if not airflow.services[0].process():
            check_port(self.layout.airflow_port, "Airflow", "YINGSHANG_AIRFLOW_PORT")
        if not (self.layout.province / "connections.json").exists():
            say("simulated province: making its history")
            self._simulator("generate", *_province_options(options))
            self._remember_province(options)
        say("simulated province: starting its servers")
        self._start_province()
        say("Airflow: metadata, api-server, scheduler, dag-processor, triggerer")
        airflow.start()
        self.airflow = airflow
        return airflow

    def advance(self) -> None:
        """Let the province live through one more night."""
        self._simulator("advance")

    @property
    def province_night(self) -> str:
        """The last night (yyyy-mm-dd) that the province has lived through."""
        return self._simulator("night").strip().splitlines()[-1]

    @property
    def truth(self) -> Path:
        """The province's own books at the end of its last night."""
        return self.layout.province / "truth" / f"{self.province_night}.csv"

    def check(self) -> None:
        """Raise if one of the services has ended."""
        self.province.check()
        for service in self.airflow.services if self.airflow else []:
            service.check()

    def down(self) -> list[str]:
        """Stop everything that runs; returns the names of what was stopped."""
        services = [Service(path.stem, self.layout.run, self.layout.logs) for path in self._pid_files()]
        order = sorted(services, key=lambda service: (service.name == "province", service.name))
        stopped = [service.name for service in order if service.stop()]
        if self.cluster.is_running:
            self.cluster.stop()
            stopped.append("PostgreSQL")
        return stopped

    def clean(self) -> None:
        """Stop everything and remove all data of the demo."""
        self.down()
        self.cluster.destroy()
        if self.layout.province.exists():
            self._simulator("stop", "--remove")
        shutil.rmtree(self.layout.state, ignore_errors=True)

    def _pid_files(self) -> list[Path]:
        return sorted(self.layout.run.glob("*.json")) if self.layout.run.exists() else []

    def _database(self, name: str) -> str:
        with psycopg.connect(self.cluster.superuser_dsn(), autocommit=True) as connection:
            if not connection.execute("select 1 from pg_database where datname = %s", (name,)).fetchone():
                connection.execute(psycopg.sql.SQL("create database {}").format(psycopg.sql.Identifier(name)))
        return self.cluster.superuser_dsn(name)

    def _start_province(self) -> None:
        connections = self.layout.province / "connections.json"
        if not self.province.process():
            connections.unlink(missing_ok=True)
            command = [sys.executable, "-m", "simulator", "serve", "--state", str(self.layout.province)]
            self.province.start(command, os.environ, self.layout.state)
        wait_until(connections.exists, [self.province], "the simulated province", 180)
        secrets.save_connections(json.loads(connections.read_text(encoding="utf-8")))

    def _simulator(self, *arguments: str) -> str:
        command = [
            sys.executable,
            "-m",
            "simulator",
            arguments[0],
            "--state",
            str(self.layout.province),
            *arguments[1:],
        ]
        result = subprocess.run([*command, *arguments[1:]], capture_output=True, text=True, timeout=3600, check=False)
        if result.returncode != 0:
            words = (result.stderr.strip() or result.stdout.strip()).splitlines()[-1:]
            raise DemoError(f"the simulated province: {arguments[0]} failed: {' '.join(words)}")
        return result.stdout

    def _check_province(self, options: Options) -> None:
        made = self.layout.state / "options.json"
        if not made.exists():
            return
        known = json.loads(made.read_text())
        if (known["scale"], known["seed"], known["profile"]) != (options.scale, options.seed, options.profile):
            raise DemoError(
                f"the province here was made with SCALE={known['scale']:g} SEED={known['seed']}: "
                "give the same, or `make clean` first"
            )

    def _remember_province(self, options: Options) -> None:
        (self.layout.state / "options.json").write_text(
            json.dumps({"scale": options.scale, "seed": options.seed, "profile": options.profile})
        )


def _province_options(options: Options) -> list[str]:
    chosen = ["--scale", str(options.scale), "--seed", str(options.seed)]
    return [*chosen, "--profile", options.profile] if options.profile else chosen
