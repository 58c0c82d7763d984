"""Which marts may leave the house: what each says of itself beside its model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from yingshang.contracts.access import Sensitivity
from yingshang.errors import UsageError
from yingshang.publish.serving import TECHNICAL
from yingshang.settings import settings
from yingshang.warehouse.rights import MartRights, read_rights


@dataclass(frozen=True)
class MartEntry:
    """A mart as its model describes it."""

    mart: str
    rights: MartRights
    description: str

    @property
    def sensitivity(self) -> Sensitivity:
        return self.rights.sensitivity

    def is_exported(self, column: str, *, internal: bool) -> bool:
        """Whether a column may leave: no technical one, and none that is more sensitive than what is exported."""
        return column not in TECHNICAL and self.rights.sensitivity_of(column) in exported(internal=internal)


def exported(*, internal: bool) -> tuple[Sensitivity, ...]:
    """The sensitivities that an export may write: confidential never."""
    return ("public", "internal") if internal else ("public",)


def catalog(models: Path | None = None) -> dict[str, MartEntry]:
    """All marts by name, from the model files beside them.

    Raises:
        BuildError: a mart does not say who may read it.
    """
    folder = models or settings().dbt_dir / "models" / "marts"
    found: dict[str, MartEntry] = {}
    for file in sorted(folder.rglob("*.yml")):
        for model in (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("models", []):
            columns = {column["name"]: _meta(column) for column in model.get("columns", [])}
            rights = read_rights(model["name"], _meta(model), columns)
            found[model["name"]] = MartEntry(model["name"], rights, " ".join(str(model.get("description", "")).split()))
    return found


def chosen_marts(asked: Iterable[str], published: Iterable[str], *, internal: bool) -> list[MartEntry]:
    """The marts to export, by name.

    Args:
        asked: names; empty for all that may be exported.
        published: names that readers see.
        internal: internal marts too, not the public ones alone.

    Raises:
        UsageError: an asked one is not published, or must not be exported.
    """
    known, seen = catalog(), set(published)
    allowed = exported(internal=internal)
    wanted = list(dict.fromkeys(asked))
    for name in wanted:
        if name not in known:
            raise UsageError(f"--mart {name}: there is no such mart; the marts are {', '.join(sorted(known))}")
        sensitivity = known[name].sensitivity
        if sensitivity == "internal" and not internal:
            raise UsageError(f"--mart {name} is internal, and no open data: --internal exports it for use inside")
        if sensitivity not in allowed:
            raise UsageError(f"--mart {name} is {sensitivity}: it is never exported")
        if name not in seen:
            raise UsageError(f"--mart {name} is not published yet, or not to this reader")
    names = wanted or sorted(name for name, one in known.items() if one.sensitivity in allowed and name in seen)
    if not names:
        raise UsageError("no mart is published that may be exported")
    return [known[name] for name in names]


def _meta(model: dict[str, Any]) -> dict[str, Any]:
    config = model.get("config") or {}
    return {**(model.get("meta") or {}), **(config.get("meta") or {})}
