"""The star schema as diagrams, drawn from dbt's manifest: one per dashboard, and a table of all joins.

``python dbt_project/star_schema.py`` writes docs/reference/star-schema.md; a test fails when it is out of date.
Marts and their dashboards are those of the exposures; a join is one that a relationships test of dbt holds, or one
that the name of a column says (:data:`BY_NAME`): a name means the same thing in every mart.
"""

import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent
PAGE = PROJECT.parent / "docs" / "reference" / "star-schema.md"
DASHBOARDS = ("province", "trading", "supervision", "hotline", "sunshine", "sources")
_REGION = ("dim_division", "region_code")
_DIVISION = ("dim_division", "division_code")
_ORGANIZATION = ("dim_organization", "organization_code")
_DAY = ("dim_date", "date_day")
BY_NAME: Mapping[str, tuple[str, str]] = {
    "node_code": _REGION,
    "region_code": _REGION,
    "region_city_code": _REGION,
    "bidder_city_code": _REGION,
    "bidder_province_code": _REGION,
    "bidder_region_code": _REGION,
    "remote_evaluation_region_code": _REGION,
    "village_code": _DIVISION,
    "township_code": _DIVISION,
    "county_code": _DIVISION,
    "city_code": _DIVISION,
    "division_code": _DIVISION,
    "type_code": ("dim_transaction_type", "type_code"),
    "industry_code": ("dim_industry", "industry_code"),
    "project_code": ("dim_project", "project_code"),
    "bidder_code": _ORGANIZATION,
    "buyer_code": _ORGANIZATION,
    "contractor_code": _ORGANIZATION,
    "organization_code": _ORGANIZATION,
    "tenderer_code": _ORGANIZATION,
    "agency_code": _ORGANIZATION,
    "batch_code": ("dim_batch", "batch_code"),
    "issue_code": ("fct_issue", "issue_code"),
    "expert_code": ("dim_expert", "expert_code"),
    "department_code": ("dim_department", "department_code"),
    "order_no": ("fct_work_order", "order_no"),
    "lot_code": ("fct_transaction", "lot_code"),
    "created_date": _DAY,
    "assigned_date": _DAY,
    "occurred_date": _DAY,
    "accepted_date": _DAY,
    "session_date": _DAY,
    "raised_date": _DAY,
    "month_start_date": _DAY,
    "year_start_date": _DAY,
}
HEAD = """\
# Star schema

Which mart joins which, by which column. Written by `python dbt_project/star_schema.py` from dbt's manifest: a
diagram for each dashboard (the exposures), then all joins. **tested** joins are held by a relationships test
in every build; of the others the name says it, and rows that find no partner are flagged (`is_orphan`,
`is_unknown_*`) or known to have none.

`dim_division` holds 12-digit codes (`division_code`); `region_code` is the 6-digit code of a province, city
or county, empty below. Never join on names: 铁西区 exists twice. The views have no foreign keys: a partner may
come nights later.

One statement sees one publication: all `marts.*` that it reads are of one night (`marts.publication`).
"""


@dataclass(frozen=True, order=True)
class Join:
    """``mart.column`` joins to ``to.to_column``."""

    mart: str
    column: str
    to: str
    to_column: str
    is_tested: bool


def joins(manifest: Mapping[str, Any]) -> list[Join]:
    """All joins between marts, sorted."""
    marts = _marts(manifest)
    found = {(one.mart, one.column): one for one in _named(marts)}
    found |= {(one.mart, one.column): one for one in _tested(manifest, marts)}
    return sorted(found.values())


def page(manifest: Mapping[str, Any]) -> str:
    """The whole page."""
    every, marts = joins(manifest), _marts(manifest)
    lines = [HEAD]
    for name in DASHBOARDS:
        exposure = manifest["exposures"][f"exposure.yingshang.{name}"]
        members = sorted(one.split(".")[-1] for one in exposure["depends_on"]["nodes"])
        lines += [f"## {exposure['label']}", "", "```mermaid", *_diagram(members, marts, every), "```", ""]
    lines += ["## All joins", "", "| mart | column | joins | |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{one.mart}` | `{one.column}` | `{one.to}.{one.to_column}` | {'tested' if one.is_tested else ''} |"
        for one in every
    ]
    return "\n".join(lines) + "\n"


def _diagram(members: list[str], marts: Mapping[str, Any], every: list[Join]) -> Iterator[str]:
    yield "erDiagram"
    pairs: dict[tuple[str, str], list[str]] = {}
    for one in every:
        if one.mart in members and one.to in members:
            pairs.setdefault((one.to, one.mart), []).append(one.column)
    for (to, mart), columns in pairs.items():
        yield f'    {to} ||--o{{ {mart} : "{", ".join(columns)}"'
    for mart in members:
        yield f"    {mart} {{"
        for column in _key(marts[mart]):
            yield f"        {re.sub(r'[^a-z].*', '', marts[mart]['columns'][column]['data_type'])} {column} PK"
        yield "    }"


def _key(mart: Mapping[str, Any]) -> list[str]:
    """The columns that its description names after "Key:"."""
    named = re.search(r"\bKey: ([a-z0-9_, ]+)", mart["description"])
    return [one for one in re.split(r"[, ]+", named[1]) if one in mart["columns"]] if named else []


def _marts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {
        node["name"]: node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and "marts" in node["fqn"]
    }


def _named(marts: Mapping[str, Any]) -> Iterator[Join]:
    for name, mart in marts.items():
        for column in mart["columns"]:
            to, to_column = BY_NAME.get(column, (name, column))
            if to in marts and to != name:
                yield Join(name, column, to, to_column, is_tested=False)


def _tested(manifest: Mapping[str, Any], marts: Mapping[str, Any]) -> Iterator[Join]:
    for node in manifest["nodes"].values():
        if node["resource_type"] != "test" or (node.get("test_metadata") or {}).get("name") != "relationships":
            continue
        arguments = node["test_metadata"]["kwargs"]
        mart = node["attached_node"].split(".")[-1]
        to = re.search(r"ref\('(\w+)'\)", arguments["to"])
        if to and mart in marts and to[1] in marts:
            yield Join(mart, node["column_name"], to[1], arguments["field"], is_tested=True)


def parsed() -> dict[str, Any]:
    """The manifest of the project as it stands; `dbt parse` needs no database."""
    from dbt.cli.main import dbtRunner

    with tempfile.TemporaryDirectory() as folder:
        answer = dbtRunner().invoke(
            [
                *("--quiet", "parse", "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)),
                *("--target-path", folder, "--log-path", folder),
            ]
        )
        if not answer.success:
            raise SystemExit(f"dbt parse: {answer.exception}")
        found: dict[str, Any] = json.loads((Path(folder) / "manifest.json").read_text(encoding="utf-8"))
        return found


if __name__ == "__main__":
    PAGE.write_text(page(parsed()), encoding="utf-8")
    sys.stdout.write(f"{PAGE} written\n")
