"""Where the demo keeps things, and which ports it takes."""

import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from yingshang.settings import settings

GIB = 1024**3


class DemoError(RuntimeError):
    """The demo can't go on; the message is one line that says what to do."""


@dataclass(frozen=True)
class Layout:
    """Folders under the state folder, and the ports a person looks at. The sources take free ports."""

    state: Path
    airflow_port: int
    warehouse_port: int

    @property
    def run(self) -> Path:
        return self.state / "run"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def province(self) -> Path:
        return self.state / "province"

    @property
    def registry(self) -> Path:
        """Where the program looks for a registry of the installation's own (yingshang.settings)."""
        return self.state / "registry"

    @property
    def warehouse(self) -> Path:
        return self.state / "warehouse"

    @property
    def airflow(self) -> Path:
        return self.state / "airflow"


def layout() -> Layout:
    """The layout of this checkout; ports from ``YINGSHANG_AIRFLOW_PORT`` and ``YINGSHANG_WAREHOUSE_PORT``."""
    return Layout(
        settings().state, port_from("YINGSHANG_AIRFLOW_PORT", 18080), port_from("YINGSHANG_WAREHOUSE_PORT", 15432)
    )


def check_room(where: Path, scale: float) -> None:
    """Refuse to start what the disk can't hold: 2 GiB, and 12 GiB more at full scale."""
    where.mkdir(parents=True, exist_ok=True)
    needed = 2 + 12 * scale
    free = shutil.disk_usage(where).free / GIB
    if free < needed:
        raise DemoError(
            f"{where} has {free:.1f} GiB free, the demo at SCALE={scale:g} needs {needed:.1f} GiB: "
            "make room, or set YINGSHANG_STATE to another disk"
        )


def check_port(port: int, what: str, variable: str) -> None:
    """Refuse to start ``what`` on a port that somebody else listens on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise DemoError(
                f"port {port} for {what} is in use: stop what uses it, or choose another port with {variable}"
            ) from None


def port_from(variable: str, default: int) -> int:
    """The port that an environment variable names, or the usual one."""
    value = os.environ.get(variable, str(default))
    if not value.isdigit() or not 1024 <= int(value) <= 65535:
        raise DemoError(f"{variable}={value!r} is not a port: give a number from 1024 to 65535")
    return int(value)
