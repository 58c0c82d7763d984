"""The inventory of personal data: every column that is about a person, and what becomes of it, from the contracts.

Where a value goes behind raw is read from the models: the name that staging gives it, and the marts that have a column
of that name. The page ``docs/reference/personal-data.md`` is generated whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from yingshang.contracts.model import Column, Contract
from yingshang.settings import Settings, settings

Fate = Literal["token", "length only"]


@dataclass(frozen=True)
class PersonalColumn:
    """One column about a person.

    Attributes:
        pii: class of the value: person_name, person_id, phone, email, address or free_text.
        becomes: ``token``: keyed HMAC-SHA256 before landing; ``length only``: a citizen's words are not taken along.
        landing, raw: column in the landed file and in raw. staging: its name from there on.
        models: models behind staging that read it. marts: ``mart.column`` of published marts that have it.
        quarantine: what stands of it in the quarantine when its row breaks the contract, for ``quarantine_days``.
        in_digest: whether the row's digest depends on it (on the length, of a free text).
    """

    dataset: str
    column: str
    business_name: str
    pii: str
    becomes: Fate
    landing: str
    raw: str
    staging: str
    models: tuple[str, ...]
    marts: tuple[str, ...]
    quarantine: str
    quarantine_days: int
    in_digest: bool


def personal_columns(contracts: Mapping[str, Contract]) -> list[PersonalColumn]:
    """All columns with a class of personal data, by dataset and in contract order."""
    root = settings().dbt_dir / "models"
    models = {path.stem: path.read_text(encoding="utf-8") for path in sorted(root.rglob("*.sql"))}
    found = [
        (contract, column, _staging_name(models, contract, column))
        for contract in contracts.values()
        for column in contract.columns
        if column.pii is not None
    ]
    marts = _marts_with(root / "marts", {name for _, _, name in found})
    return [_personal(contract, column, name, models, marts) for contract, column, name in found]


def inventory_json(contracts: Mapping[str, Contract]) -> str:
    """The inventory as a JSON list."""
    return json.dumps([asdict(one) for one in personal_columns(contracts)], ensure_ascii=False, indent=1)


def inventory_page() -> Path:
    """Where the page is."""
    return settings().home / "docs" / "reference" / "personal-data.md"


def is_page_stale(contracts: Mapping[str, Contract]) -> bool:
    """Whether the page is missing, or not what the contracts say."""
    page = inventory_page()
    return not page.is_file() or page.read_text(encoding="utf-8") != inventory_text(contracts)


def inventory_text(contracts: Mapping[str, Contract]) -> str:
    """The page."""
    found = personal_columns(contracts)
    usual = Settings.model_fields["quarantine_days"].default
    rows = [
        (
            f"`{one.dataset}`",
            f"`{one.column}` {one.business_name}",
            one.pii,
            one.becomes,
            f"`{one.raw}`",
            ", ".join(f"`{mart}`" for mart in one.marts) or "none",
            ", ".join(f"`{model}`" for model in one.models) or "none",
        )
        for one in found
    ]
    head = ("dataset", "source column", "class", "becomes", "in landing and raw as", "published in", "read by models")
    none = [contract.name for contract in contracts.values() if not any(column.pii for column in contract.columns)]
    return PAGE.format(
        count=len(found),
        datasets=len({one.dataset for one in found}),
        table=_table(head, rows),
        days=usual,
        others=", ".join(f"`{name}`" for name in none),
    )


PAGE = """\
# Personal data: what is there, and what becomes of it

Generated from the contracts and the models by `yingshang contracts generate`; `yingshang contracts inventory` prints
it, with `--json` for programs. `yingshang contracts check` fails when this page is not up to date.

{count} columns of {datasets} datasets are about persons:

{table}

| where | what stands there | how long |
| --- | --- | --- |
| source | the value, in clear; it is read over a verified connection | the source's own rule |
| memory of the task | the value, until its batch has been landed | one batch |
| landing, raw | token: `<key id>:<HMAC-SHA256>` under the key of that id, of the value without \
blanks around it. Length: number of characters | as long as raw, which is the log |
| row digest | tokens are no part of it, so that a new key changes no digest; of a text, the length is | |
| marts | the columns of the table above, and no others; the access registry says who sees them | rebuilt nightly |
| quarantine | rows that broke their contract, whole as delivered, encrypted (Fernet, key id beside it); of a \
citizen's text only the length | {days} days (`YINGSHANG_QUARANTINE_DAYS`), then `yingshang maintenance` removes them |
| logs, Airflow's metadata, Data Docs, alerts, reports | nothing: messages name node, dataset, night and \
column, never a value | |

Datasets without personal columns: {others}. Names of organisations, their codes and the names of departments are not
personal data here. What a source writes into a field where no person belongs cannot be known in advance: where the
field has a form (numbers, times, codes) such a row goes to quarantine; where it is free (a department's name, a title)
it is loaded.

How it is shown: `tests/integration/test_canaries.py` and `tests/e2e/test_demo.py` plant invented persons in the sources
(`simulator.canaries`) and look for them in all of these places. Keys: [rotate them](../how-to/rotate-keys.md).
"""


def _personal(
    contract: Contract, column: Column, staging: str, models: Mapping[str, str], marts: Mapping[str, Sequence[str]]
) -> PersonalColumn:
    return PersonalColumn(
        dataset=contract.name,
        column=column.name,
        business_name=column.business_name,
        pii=str(column.pii),
        becomes="length only" if column.is_free_text else "token",
        landing=column.raw_name,
        raw=f"raw.{contract.raw_table}.{column.raw_name}",
        staging=staging,
        models=tuple(
            model
            for model, text in models.items()
            if not model.startswith("stg_") and re.search(rf"\b{staging}\b", text)
        ),
        marts=tuple(marts.get(staging, ())),
        quarantine="its length, encrypted" if column.is_free_text else "as delivered, encrypted",
        quarantine_days=settings().quarantine_days,
        in_digest=column.is_free_text,
    )


def _staging_name(models: Mapping[str, str], contract: Contract, column: Column) -> str:
    """The name that staging gives a column of raw; its own where staging keeps it."""
    text = models.get(f"stg_{contract.system}__{contract.dataset}", "")
    found = re.search(rf"\b{column.raw_name}\s+as\s+(\w+)", text)
    return found[1] if found else column.raw_name


def _marts_with(folder: Path, names: Set[str]) -> dict[str, list[str]]:
    """Column name -> ``mart.column`` of the marts that have it. Only files where a name stands are parsed."""
    import yaml

    found: dict[str, list[str]] = {}
    wanted = re.compile(rf"\bname: (?:{'|'.join(sorted(names))})\b") if names else re.compile(r"(?!)")
    for path in sorted(folder.rglob("*.yml")):
        text = path.read_text(encoding="utf-8")
        if not wanted.search(text):
            continue
        for model in yaml.load(text, yaml.CSafeLoader).get("models") or []:
            for column in model.get("columns") or []:
                if column["name"] in names:
                    found.setdefault(column["name"], []).append(f"{model['name']}.{column['name']}")
    return found


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines)
