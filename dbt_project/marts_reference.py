"""The reference of marts, written from the descriptions beside the models.

``python dbt_project/marts_reference.py`` writes docs/reference/marts.md; a test fails when it is out of date.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parent
PAGE = PROJECT.parent / "docs" / "reference" / "marts.md"
DOMAINS = ("core", "trading", "supervision", "hotline", "sunshine", "history", "reporting")
HEAD = """\
# Marts

What BI tools read: the views of schema `marts`, one publication at a time. `marts.publication` tells which night that
is and which nodes are missing from it. This page is written by `python dbt_project/marts_reference.py` from the
descriptions beside the models.

- Amounts are in yuan (`*_yuan`). An amount above 3,000,000,000 yuan awaits confirmation: its row stays, is flagged
  `is_held`, and is left out of sums; `held_*` sums count it apart.
- Times (`*_at`) are `timestamptz`; dates (`*_date`) and months are those of Shanghai.
- `is_orphan`: the parent (the project of a lot, the lot of a bid, the batch of an issue, the issue of an event, the
  work order of a callback) never came, or no longer exists. The row stays.
- A record that its source has deleted is not in the marts; its history stays in raw.
- Type `unknown`: the source code maps to nothing. Stage `unknown`: neither does the kind of notice. The same holds for
  environments of issues, and for statuses and classes of work orders; `is_unknown_*` flags them, and no row is lost.
- Rates (`*_rate`, 0 to 1) are derived from counts that stand beside them: add up the counts, never the rates.
- No mart has a direct identifier of a citizen or a citizen's text.
- Counts and amounts per dataset: projects from `dim_project`; lots from `fct_transaction`; bids from `fct_bid`;
  contracts from `fct_contract`; notices, results and performances from `fct_transaction_event` by `dataset` (a notice
  has a row per lot it names: count distinct `record_key`).
- `source_batch_id`, `source_row` and `source_cursor` lead back to the version in raw: `yingshang trace`.
- In `fct_` marts `_build_id` is the build that last touched the row; in `dim_` and `rpt_` marts, which are built whole,
  it is the build of the slot.

"""


def page() -> str:
    """The whole page."""
    models = [(domain, model) for domain in DOMAINS for model in _models(domain)]
    lines = ["| mart | one row per |", "| --- | --- |"]
    lines += [f"| [{model['name']}](#{model['name']}) | {_grain(model)} |" for _, model in models]
    for _, model in models:
        lines += [
            "",
            f"## {model['name']}",
            "",
            _text(model["description"]),
            "",
            "| column | type | |",
            "| --- | --- | --- |",
        ]
        lines += [
            f"| `{column['name']}` | {column['data_type']} | {_text(column['description'])} |"
            for column in model["columns"]
        ]
    return HEAD + "\n".join(lines) + "\n"


def _models(domain: str) -> Iterator[dict[str, Any]]:
    for path in sorted((PROJECT / "models" / "marts" / domain).glob("_*.yml")):
        yield from yaml.safe_load(path.read_text(encoding="utf-8")).get("models", [])


def _grain(model: dict[str, Any]) -> str:
    """What follows "one row per" in the description, up to the end of the clause."""
    _, _, rest = _text(model["description"]).replace("One row per", "one row per").partition("one row per ")
    return rest.split(". ")[0].split(": ")[0].rstrip(".")


def _text(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE} written\n")
