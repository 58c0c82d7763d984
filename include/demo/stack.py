"""Everything the demo starts and stops, in order: PostgreSQL, the warehouse, the simulated province, Airflow."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe

import psycopg
from psycopg import sql

from demo.airflow import Airflow
from demo.layout import DemoError, Layout, check_port, check_room
from demo.processes import Service, wait_until
from demo.registry import write_registry
from localpg import Cluster
from simulator import Province, ProvinceError
from yingshang import secrets
from yingshang.warehouse.metadata import make_metadata
from yingshang.warehouse.roles import init_warehouse

WAREHOUSE_DSN = "YINGSHANG_WAREHOUSE_DSN"


@dataclass(frozen=True)
class Options:
    """What a person may choose: size and seed of the province, and which of its systems are read (none named: all)."""

    scale: float
    seed: int
    profile: str | None = None
    has_canaries: bool = False
    systems: tuple[str, ...] = ()


class Stack:
    """The demo's services over one state folder; :meth:`up` and :meth:`down` may be called again and again."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.cluster = Cluster(layout.warehouse, port=layout.warehouse_port)
        self.simulated = Province(layout.province)
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
        airflow = Airflow(self.layout, self._metadata())
        if not airflow.services[0].process():
            check_port(self.layout.airflow_port, "Airflow", "YINGSHANG_AIRFLOW_PORT")
        with ThreadPoolExecutor(1) as beside:
            migrating = beside.submit(airflow.migrate)
            if not self.simulated.is_generated:
                say("simulated province: making its history (Airflow's metadata meanwhile)")
                self._generate(options)
            write_registry(self.layout.registry, self.simulated, options.systems)
            say("simulated province: starting its servers")
            self._start_province()
            migrating.result()
        say("Airflow: api-server, scheduler, dag-processor, triggerer")
        airflow.start()
        self.airflow = airflow
        return airflow

    def advance(self) -> None:
        """Let the province live through one more night."""
        self.simulated.advance()

    @property
    def province_night(self) -> str:
        """The last night (yyyy-mm-dd) that the province has lived through."""
        return self.simulated.night.isoformat()

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
        if self.simulated.is_generated:
            self.simulated.destroy()
        shutil.rmtree(self.layout.state, ignore_errors=True)

    def _pid_files(self) -> list[Path]:
        return sorted(self.layout.run.glob("*.json")) if self.layout.run.exists() else []

    def _database(self, name: str) -> str:
        with psycopg.connect(self.cluster.superuser_dsn(), autocommit=True) as connection:
            if not connection.execute("select 1 from pg_database where datname = %s", (name,)).fetchone():
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        return self.cluster.superuser_dsn(name)

    def _metadata(self) -> str:
        """Airflow's metadata belong to a login of Airflow's own, which nobody else's reach."""
        kept = self.layout.airflow / "metadata.password"
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.touch(mode=0o600)
            kept.write_text(token_urlsafe(24))
        server = self.cluster.superuser_dsn("postgres")
        own = f"postgresql://airflow:{kept.read_text()}@{server.split('@')[1].rsplit('/')[0]}/airflow"
        make_metadata(server, own)
        return own

    def _generate(self, options: Options) -> None:
        """In a process of its own: what a large history needs of memory is given back."""
        chosen = ["--scale", str(options.scale), "--seed", str(options.seed)]
        profile = ["--profile", options.profile] if options.profile else []
        canaries = ["--canaries"] if options.has_canaries else []
        command = [sys.executable, "-m", "simulator", "generate", "--state", str(self.layout.province)]
        done = subprocess.run(
            [*command, *chosen, *profile, *canaries], capture_output=True, text=True, timeout=3600, check=False
        )
        if done.returncode != 0:
            raise DemoError(f"the simulated province can't be made: {(done.stderr or done.stdout).strip()[-500:]}")

    def _start_province(self) -> None:
        command = [sys.executable, "-m", "simulator", "serve", "--state", str(self.layout.province)]
        self.province.start(command, os.environ, self.layout.state)
        wait_until(self._is_served, [self.province], "the simulated province", 600)
        secrets.save_connections(self.simulated.connections())

    def _is_served(self) -> bool:
        try:
            return bool(self.simulated.connections())
        except ProvinceError:
            return False

    def _check_province(self, options: Options) -> None:
        if not self.simulated.is_generated:
            return
        made = self.simulated.meta
        scale = made.scale if options.profile else options.scale  # a profile has a scale of its own
        if (made.scale, made.seed, made.profile) != (scale, options.seed, options.profile):
            raise DemoError(
                f"the province here was made with SCALE={made.scale:g} SEED={made.seed}: "
                "give the same, or `make clean` first"
            )
