"""Where things are and which limits hold: environment variables with the prefix ``YINGSHANG_``."""

import os
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_ROOT = Path(__file__).resolve().parents[2]


class Settings(BaseSettings):
    """Settings of one process. Secrets are not here: see :mod:`yingshang.secrets`."""

    model_config = SettingsConfigDict(env_prefix="YINGSHANG_", extra="ignore")

    home: Path = Field(PROJECT_ROOT, description="project folder: contracts, registry, dbt project, expectations")
    state: Path = Field(PROJECT_ROOT / ".state", description="folder for everything the program writes")
    landing_url: str = Field("", description="fsspec URL of the landing zone; empty: <state>/landing")
    connections_file: Path | None = Field(None, description="conn_id -> URI, JSON, as Airflow's local backend")
    registry: Path | None = Field(None, description="registry's folder; empty: <state>/registry, or include/registry")
    keys_file: Path | None = Field(None, description="HMAC and quarantine keys, JSON")
    plaintext_hosts: str = Field("", description="hosts that may be reached without TLS, separated by commas")
    quarantine_days: int = Field(90, description="days until a quarantined payload expires")
    past_build_days: int = Field(30, description="days until a build of a past night may be dropped")
    cut_off_hour: int = Field(5, description="hour of the day (Asia/Shanghai) at which a night closes at the latest")
    schedule_until: datetime | None = Field(None, description="no scheduled runs after this time; empty: for ever")
    mass_delete_share: float = Field(
        0.1, description="share of a provision's rows that reconcile closes without asking"
    )
    mass_delete_rows: int = Field(20, description="so many rows are closed without asking, whatever their share")
    task_workers: int | None = Field(None, ge=1, description="tasks that run at once; empty: [core] parallelism")
    retry_seconds: float = Field(20.0, description="wait before the first retry of an Airflow task")
    reader_wait_seconds: float = Field(60.0, description="how long a publication waits for readers before it ends them")
    publish_wait_seconds: float = Field(600.0, description="how long a publication waits in all before it is postponed")

    @property
    def landing(self) -> str:
        return self.landing_url or (self.state / "landing").as_uri()

    @property
    def connections(self) -> Path:
        return self.connections_file or self.state / "secrets" / "connections.json"

    @property
    def keys(self) -> Path:
        return self.keys_file or self.state / "secrets" / "keys.json"

    @property
    def data_docs(self) -> Path:
        return self.state / "data_docs"

    @property
    def contracts_dir(self) -> Path:
        return self.home / "include" / "contracts"

    @property
    def registry_dir(self) -> Path:
        """The registry of this installation, where it has one of its own; else the project's."""
        own = self.state / "registry"
        return self.registry or (own if (own / "nodes.csv").is_file() else self.home / "include" / "registry")

    @property
    def dbt_dir(self) -> Path:
        return self.home / "dbt_project"

    @property
    def expectations_dir(self) -> Path:
        return self.home / "expectations"


def settings() -> Settings:
    """The settings of this process, as the environment is now."""
    prefix = "YINGSHANG_"
    return _settings(tuple(sorted(item for item in os.environ.items() if item[0].upper().startswith(prefix))))


@lru_cache(maxsize=8)
def _settings(_environment: tuple[tuple[str, str], ...]) -> Settings:
    return Settings()
