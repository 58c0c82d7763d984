"""The access registry: a wrong row stops with file and line; an expired one is refused by hand and ended by night."""

import datetime as dt
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from yingshang.contracts.access import FILE, load_access
from yingshang.errors import BuildError, RegistryError
from yingshang.settings import PROJECT_ROOT
from yingshang.warehouse.rights import MartRights, read_rights

HEADER = "role,division_code,sensitivity,approver,review_date,expires_on,purpose"
GOOD = "bi_heping,210102,internal,和平区,2030-06-30,2030-12-31,analysts"
TODAY = dt.date(2026, 11, 22)


def registry(folder: Path, *rows: str) -> Path:
    shutil.copytree(PROJECT_ROOT / "include" / "registry", folder, dirs_exist_ok=True)
    (folder / FILE).write_text("\n".join([HEADER, *rows, ""]), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (GOOD.replace("bi_heping", "analyst"), "unknown role 'analyst': it is named bi_"),
        (GOOD.replace("bi_heping", "bi_Heping'; drop"), "unknown role"),
        (GOOD.replace("210102", "219999"), "unknown division '219999' of bi_heping: it is not in nodes.csv"),
        (GOOD.replace("internal", "secret"), "sensitivity 'secret' of bi_heping is not one of public, internal"),
        (GOOD.replace("internal", "confidential"), "bi_heping of the county 210102 can't be confidential"),
        (GOOD.replace("和平区", " "), "approver of bi_heping is empty: who has approved it"),
        (GOOD.replace("analysts", ""), "purpose of bi_heping is empty"),
        (GOOD.replace("2030-12-31", "31.12.2030"), "expires_on '31.12.2030' of bi_heping is not a date"),
        (f"{GOOD}\n{GOOD}", "bi_heping stands here twice"),
        (f"{GOOD},more", "7 fields expected"),
    ],
)
def test_a_wrong_row_is_told_with_its_line(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(RegistryError) as caught:
        load_access(registry(tmp_path, row), today=TODAY)
    assert said in str(caught.value)
    assert f"{FILE}:" in str(caught.value)


def test_an_expired_row_is_refused_by_hand_and_ended_by_night(tmp_path: Path) -> None:
    root = registry(tmp_path, GOOD, GOOD.replace("bi_heping", "bi_old").replace("2030-12-31", "2026-11-22"))
    with pytest.raises(RegistryError, match="expires_on 2026-11-22 of bi_old is in the past"):
        load_access(root, today=TODAY, refuse_expired=True)
    found = load_access(root, today=TODAY)
    assert set(found.active) == {"bi_heping"}
    assert found.warnings == (
        next(one for one in found.warnings if "bi_old has expired on 2026-11-22: it sees nothing any more" in one),
    )
    assert "bi_old" in load_access(root, today=TODAY - dt.timedelta(1), refuse_expired=True).active


def test_an_overdue_review_is_a_warning(tmp_path: Path) -> None:
    found = load_access(registry(tmp_path, GOOD.replace("2030-06-30", "2026-11-21")), today=TODAY)
    assert set(found.active) == {"bi_heping"}
    assert "the review of bi_heping was due on 2026-11-21: ask 和平区" in found.warnings[0]


def test_a_division_is_seen_with_all_below_it() -> None:
    found = load_access(PROJECT_ROOT / "include" / "registry")
    assert len(found.below("210000")) == 115
    assert len(found.below("210100")) == 14
    assert found.below("210102") == ("210102",)


COLUMNS: dict[str, dict[str, str]] = {"node_code": {}, "persons": {}, "_slot": {}}


@pytest.mark.parametrize(
    ("meta", "columns", "said"),
    [
        ({"division": "node_code"}, COLUMNS, "says None of its sensitivity: write one of public, internal"),
        ({"sensitivity": "open", "division": "node_code"}, COLUMNS, "says 'open' of its sensitivity"),
        ({"sensitivity": "public"}, COLUMNS, "does not say by which column its rows belong to a division"),
        ({"sensitivity": "public", "division": "city_code"}, COLUMNS, "names city_code, which are no columns of it"),
        (
            {"sensitivity": "internal", "division": "none", "small_figures": {"people": "people < 5"}},
            COLUMNS,
            "names people, which are no columns of it",
        ),
        (
            {"sensitivity": "internal", "division": "node_code"},
            COLUMNS | {"caller_phone_token": {}},
            "fct_x.caller_phone_token tells persons apart",
        ),
        (
            {"sensitivity": "internal", "division": "node_code"},
            COLUMNS | {"a": {"sensitivity": "x"}},
            "sensitivity 'x'",
        ),
    ],
)
def test_a_mart_that_does_not_say_who_may_see_it_is_not_built(
    meta: dict[str, object], columns: dict[str, dict[str, str]], said: str
) -> None:
    with pytest.raises(BuildError) as caught:
        read_rights("fct_x", meta, columns)
    assert said in str(caught.value)


def test_a_mart_that_says_it() -> None:
    columns = COLUMNS | {"name_token": {"sensitivity": "confidential"}, "low": {"sensitivity": "public"}}
    said = {"sensitivity": "internal", "division": ["node_code"], "small_figures": {"persons": "persons < 5"}}
    found = read_rights("fct_x", said, columns)
    assert found == MartRights("internal", ("node_code",), {"name_token": "confidential"}, {"persons": "persons < 5"})


def marts() -> dict[str, dict[str, Any]]:
    """The project's marts as their models describe them."""
    return {
        model["name"]: model
        for path in (PROJECT_ROOT / "dbt_project" / "models" / "marts").glob("*/*.yml")
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", [])
    }


def test_the_page_has_every_mart_with_its_sensitivity_and_its_division() -> None:
    page = (PROJECT_ROOT / "docs" / "reference" / "access.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in page.splitlines() if line.startswith(("| public |", "| internal |"))]
    shown = {
        name: (row[1].strip(), set(re.findall(r"`(\w+)`", row[2])))
        for row in rows
        for name in re.findall(r"`(\w+)`", row[3])
    }
    said = {}
    for name, model in marts().items():
        meta = model["config"]["meta"]
        division = meta["division"] if isinstance(meta["division"], list) else [meta["division"]]
        said[name] = meta["sensitivity"], {*division} - {"none"}
    assert shown == said
    assert f"marts of {len(said)} |" in page


def test_the_page_has_every_column_above_its_mart() -> None:
    page = (PROJECT_ROOT / "docs" / "reference" / "access.md").read_text(encoding="utf-8")
    (row,) = [line.split("|") for line in page.splitlines() if line.startswith("| confidential |")]
    said = {
        f"{name}.{column['name']}"
        for name, model in marts().items()
        for column in model["columns"]
        if (column.get("config") or {}).get("meta", {}).get("sensitivity") == "confidential"
    }
    assert set(re.findall(r"`([\w.]+)`", row[3])) == said


# Of things, times and rows: whoever adds another figure by village decides whether it is of persons.
NOT_OF_PERSONS = re.compile(
    r"^(_build_id|source_\w+|\w+_minutes|(villages|coverage|timely|review|reviewed|publish|published)(_\w+)?"
    r"|(withdrawn_)?disclosures|problems_\w+|resolution_\w+)$"
)


def test_every_figure_of_persons_by_village_is_hidden_when_small() -> None:
    looked_at = 0
    for name, model in marts().items():
        if not any("village" in column["name"] for column in model["columns"]):
            continue
        numbers = {
            column["name"] for column in model["columns"] if re.match("bigint|integer|numeric", column["data_type"])
        }
        persons = {one for one in numbers if not NOT_OF_PERSONS.match(one)}
        assert persons == set(model["config"]["meta"].get("small_figures") or {}), name
        looked_at += len(persons)
    assert looked_at >= 14
