"""dbt's source files, written from the contracts: ``models/staging/<system>/_sources.yml``.

A model reads ``source('<system>', '<dataset>')``, which is ``raw.<system>__<dataset>``.
The files are generated whole: what people write about staging models stands in other files beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yingshang.contracts.model import LOAD_COLUMNS, Column, Contract
from yingshang.settings import settings

HEADER = (
    "# Generated from include/contracts by `yingshang contracts generate`. Changes here are lost, and\n"
    "# `yingshang contracts check` finds them: change the contract instead.\n"
)


def sources_text(contracts: Mapping[str, Contract], system: str) -> str:
    """The source file of one system."""
    import yaml

    tables = [_table(contract) for contract in contracts.values() if contract.system == system]
    document = {
        "version": 2,
        "sources": [
            {
                "name": system,
                "schema": "raw",
                "description": f"Every version of every row ever delivered by the system {system}, append-only.",
                "tables": tables,
            }
        ],
    }
    return HEADER + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=116)


def sources_file(system: str) -> Path:
    """Where the source file of a system is."""
    return settings().dbt_dir / "models" / "staging" / system / "_sources.yml"


def stale_files(contracts: Mapping[str, Contract]) -> list[Path]:
    """Generated files that are missing, or not what the contracts say."""
    return list(_stale(contracts))


def write_sources(contracts: Mapping[str, Contract]) -> list[Path]:
    """Write the stale files. Returns them."""
    stale = _stale(contracts)
    for path, text in stale.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(stale)


def _stale(contracts: Mapping[str, Contract]) -> dict[Path, str]:
    texts = {
        sources_file(system): sources_text(contracts, system)
        for system in sorted({contract.system for contract in contracts.values()})
    }
    return {
        path: text for path, text in texts.items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    }


def _table(contract: Contract) -> dict[str, Any]:
    columns = [_column(column) for column in contract.columns]
    columns += [{"name": name, "description": about, "data_type": kind} for name, kind, about in LOAD_COLUMNS]
    return {
        "name": contract.dataset,
        "identifier": contract.raw_table,
        "description": f"{contract.business_name}. {contract.description} Grain: {contract.grain}.",
        "config": {
            "meta": {
                "contract": contract.name,
                "contract_version": contract.version,
                "owner": contract.owner,
                "sensitivity": contract.sensitivity,
                "primary_key": [contract.column(name).raw_name for name in contract.primary_key],
                "cursor": contract.column(contract.cursor).raw_name,
            }
        },
        "columns": columns,
    }


def _column(column: Column) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": column.raw_name,
        "description": column.comment,
        "data_type": column.sql_type,
    }
    if column.pii:
        described["config"] = {"meta": {"pii": column.pii}}
    return described
