"""Which marts may leave the house: what each says of itself beside its model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from yingshang.errors import UsageError
from yingshang.settings import settings

LEFT_OUT_COLUMNS = ("_slot", "_build_id")
"""Technical columns: they say which build of the warehouse a row stands in, and nothing of the row."""
TOKEN = "_token"  # noqa: S105 - a suffix of columns, no secret
EXPORTED = ("public", "internal")


@dataclass(frozen=True)
class MartEntry:
    """A mart as its model describes it. ``sensitivity``: public, internal or confidential; empty if it does not say."""

    mart: str
    sensitivity: str
    description: str


def catalog(models: Path | None = None) -> dict[str, MartEntry]:
    """All marts by name, from the model files beside them."""
    folder = models or settings().dbt_dir / "models" / "marts"
    found: dict[str, MartEntry] = {}
    for file in sorted(folder.rglob("*.yml")):
        for model in (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("models", []):
            meta = _meta(model)
            found[model["name"]] = MartEntry(
                model["name"], str(meta.get("sensitivity", "")), " ".join(str(model.get("description", "")).split())
            )
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
    allowed = EXPORTED if internal else EXPORTED[:1]
    wanted = list(dict.fromkeys(asked))
    for name in wanted:
        if name not in known:
            raise UsageError(f"--mart {name}: there is no such mart; the marts are {', '.join(sorted(known))}")
        sensitivity = known[name].sensitivity
        if sensitivity == "internal" and not internal:
            raise UsageError(f"--mart {name} is internal, and no open data: --internal exports it for use inside")
        if sensitivity not in allowed:
            raise UsageError(f"--mart {name} is {sensitivity or 'without a sensitivity'}: it is never exported")
        if name not in seen:
            raise UsageError(f"--mart {name} is not published yet, or not to this reader")
    names = wanted or sorted(name for name, one in known.items() if one.sensitivity in allowed and name in seen)
    if not names:
        raise UsageError("no mart is published that may be exported")
    return [known[name] for name in names]


def is_exported(column: str) -> bool:
    """Whether a column leaves the house: no technical one, and never the token of a person."""
    return column not in LEFT_OUT_COLUMNS and not column.endswith(TOKEN)


def _meta(model: dict[str, Any]) -> dict[str, Any]:
    config = model.get("config") or {}
    return {**(model.get("meta") or {}), **(config.get("meta") or {})}
