"""Airflow on this machine: its settings as environment variables, its four processes, and its REST API."""

import base64
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from demo.layout import DemoError, Layout
from demo.processes import Service, wait_until
from yingshang.settings import settings

COMPONENTS = {
    "api-server": (),
    "scheduler": ("--skip-serve-logs",),  # the api-server reads the logs of this machine from its disk
    "dag-processor": (),
    "triggerer": ("--skip-serve-logs",),
}
"""Airflow's processes, with the options they get."""
EXECUTOR = "yingshang.orchestrate.executor.PreloadedLocalExecutor"
USER = "admin"
PAGE = 100
ANSWER_SECONDS = 120
"""The first call of a task makes the api-server prepare for tasks: more than 30 s on a machine at its limit."""
SCHEDULE_UNTIL = "2024-12-31T00:00:00"
"""The simulated province lives in 2024: nothing is scheduled for tonight. Backfills and runs by hand work."""


class Airflow:
    """The demo's Airflow.

    Args:
        layout: folders and ports.
        metadata_dsn: ``postgresql://`` URI of Airflow's metadata database.
    """

    def __init__(self, layout: Layout, metadata_dsn: str) -> None:
        self.layout = layout
        self.url = f"http://127.0.0.1:{layout.airflow_port}"
        self._metadata_dsn = metadata_dsn
        self.services = [Service(f"airflow-{name}", layout.run, layout.logs) for name in COMPONENTS]
        self._client = httpx.Client(base_url=self.url, timeout=ANSWER_SECONDS)

    def environment(self) -> dict[str, str]:
        """Everything Airflow's processes are told; the only place where the demo configures Airflow."""
        config = settings()
        home = self.layout.airflow
        own = {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(config.home / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": EXECUTOR,
            "AIRFLOW__CORE__PARALLELISM": "12",
            "AIRFLOW__CORE__NUM_DAG_RUNS_TO_RETAIN_RENDERED_FIELDS": "0",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
            "AIRFLOW__CORE__FERNET_KEY": self._secret("fernet"),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self._passwords_file),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self._metadata_dsn.replace(
                "postgresql://", "postgresql+psycopg2://"
            ),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.layout.airflow_port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SECRET_KEY": self._secret("api"),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": self._secret("jwt"),
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "300",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0",
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": "0",
            "AIRFLOW__SECRETS__BACKEND": "airflow.secrets.local_filesystem.LocalFilesystemBackend",
            "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps({"connections_file_path": str(config.connections)}),
            "YINGSHANG_STATE": str(config.state),
            "YINGSHANG_TASK_WORKERS": "4",
            "YINGSHANG_SCHEDULE_UNTIL": SCHEDULE_UNTIL,
            "YINGSHANG_CONNECTIONS_FILE": str(config.connections),
            "YINGSHANG_KEYS_FILE": str(config.keys),
        }
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        return {**os.environ, "PATH": path, **own}

    def migrate(self) -> None:
        """Bring the metadata database to this version of Airflow, unless Airflow is running."""
        if not all(service.process() for service in self.services):
            _run_to_end(["db", "migrate"], self.environment(), self.layout)

    def start(self) -> None:
        """Start what does not run yet, on migrated metadata; returns when Airflow is healthy and knows `nightly`."""
        self._write_password()
        env = self.environment()
        for (name, options), service in zip(COMPONENTS.items(), self.services, strict=True):
            service.start([sys.executable, "-m", "airflow", name, *options], env, self.layout.airflow)
        wait_until(self._is_healthy, self.services, "Airflow", 120)
        self.log_in()
        for name, pool in pools().items():
            self._ensure_pool(name, pool)
        wait_until(self._has_nightly, self.services, "the DAG nightly", 90)
        self.call("PATCH", "/api/v2/dags/nightly", {"is_paused": False})

    def trigger(self, night: str) -> str:
        """Start a run of `nightly` for ``night`` (yyyy-mm-dd); returns its run id."""
        body = {"logical_date": None, "conf": {"night": night}, "note": f"demo: night of {night}"}
        return str(self.call("POST", "/api/v2/dags/nightly/dagRuns", body)["dag_run_id"])

    def state(self, run_id: str) -> str:
        """State of a run: queued, running, success or failed."""
        return str(self.call("GET", f"/api/v2/dags/nightly/dagRuns/{run_id}")["state"])

    def task_state(self, run_id: str, task_id: str) -> str:
        """State of an unmapped task of a run."""
        path = f"/api/v2/dags/nightly/dagRuns/{run_id}/taskInstances/{task_id}"
        return str(self.call("GET", path)["state"])

    def task_counts(self, run_id: str) -> dict[str, dict[str, int]]:
        """Task instances of a run by task id and state."""
        counts: dict[str, dict[str, int]] = {}
        path = f"/api/v2/dags/nightly/dagRuns/{run_id}/taskInstances?limit={PAGE}&offset="
        seen, total = 0, 1
        while seen < total:
            page = self.call("GET", f"{path}{seen}")
            total = page["total_entries"]
            seen += len(page["task_instances"]) or total
            for instance in page["task_instances"]:
                states = counts.setdefault(instance["task_id"], {})
                state = instance["state"] or "none"
                states[state] = states.get(state, 0) + 1
        return counts

    @property
    def password(self) -> str:
        return str(json.loads(self._passwords_file.read_text())[USER])

    @property
    def _passwords_file(self) -> Path:
        return self.layout.airflow / "passwords.json"

    def _write_password(self) -> None:
        self.layout.airflow.mkdir(parents=True, exist_ok=True)
        if not self._passwords_file.exists():
            self._passwords_file.touch(mode=0o600)
            self._passwords_file.write_text(json.dumps({USER: secrets.token_urlsafe(9)}))

    def _secret(self, name: str) -> str:
        path = self.layout.airflow / f"{name}.key"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
        return path.read_text()

    def _is_healthy(self) -> bool:
        try:
            answer = self._client.get("/api/v2/monitor/health")
        except httpx.TransportError:
            return False
        if answer.status_code != 200:
            return False
        parts = answer.json()
        return all(
            parts[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor", "triggerer")
        )

    def _has_nightly(self) -> bool:
        answer = self._client.get("/api/v2/dags/nightly")
        errors = self.call("GET", "/api/v2/importErrors")["import_errors"]
        if errors:
            raise DemoError(f"{errors[0]['filename']} can't be imported: {errors[0]['stack_trace'].splitlines()[-1]}")
        return answer.status_code == 200

    def log_in(self) -> None:
        """Take a token for the calls that follow."""
        token = self.call("POST", "/auth/token", {"username": USER, "password": self.password})["access_token"]
        self._client.headers["Authorization"] = f"Bearer {token}"

    def _ensure_pool(self, name: str, pool: dict[str, Any]) -> None:
        answer = self._client.post("/api/v2/pools", json={"name": name, **pool})
        if answer.status_code not in (200, 201, 409):
            raise DemoError(f"Airflow refuses the pool {name}: {answer.text[:300]}")

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call of the REST API; returns the answer's JSON. Raises DemoError for anything but success."""
        try:
            answer = self._client.request(method, path, json=body)
        except httpx.TransportError as error:
            for service in self.services:
                service.check()
            raise DemoError(
                f"Airflow at {self.url} does not answer to {method} {path} ({error}): see {self.services[0].log}"
            ) from error
        if answer.status_code >= 400:
            raise DemoError(f"Airflow answered {answer.status_code} to {method} {path}: {answer.text[:300]}")
        return answer.json()


def pools() -> dict[str, dict[str, Any]]:
    """Airflow's pools as the registry has them (also for `airflow pools import`)."""
    found: dict[str, dict[str, Any]] = json.loads((settings().registry_dir / "pools.json").read_text(encoding="utf-8"))
    return found


def _run_to_end(arguments: list[str], env: dict[str, str], layout: Layout) -> None:
    layout.logs.mkdir(parents=True, exist_ok=True)
    log = layout.logs / f"airflow-{'-'.join(arguments)}.log"
    with log.open("ab") as output:
        result = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=env,
            cwd=layout.airflow,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=300,
            check=False,
        )
    if result.returncode != 0:
        words = log.read_text(errors="replace").strip().splitlines()[-1:]
        raise DemoError(f"airflow {' '.join(arguments)} failed: {' '.join(words)} (whole log: {log})")
