"""The scripts beside the dbt project that write pages of the reference."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"


def script(name: str) -> ModuleType:
    """The script ``dbt_project/<name>.py``, loaded: its ``PAGE`` is the file that it writes, ``page()`` the content."""
    spec = importlib.util.spec_from_file_location(name, PROJECT / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
