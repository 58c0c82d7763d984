"""The dbt project without a database: what is described, typed and told apart."""

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.dbt_scripts import PROJECT, script

MODELS = sorted(PROJECT.glob("models/**/*.sql"))
MARTS = [path for path in MODELS if "marts" in path.parts]


def documented(kind: str, *folders: str) -> dict[str, dict[str, Any]]:
    found = {}
    for folder in folders:
        for path in PROJECT.glob(f"{folder}/**/*.yml"):
            for one in yaml.safe_load(path.read_text(encoding="utf-8")).get(kind, []):
                found[one["name"]] = one
    return found


def rows(seed: str) -> list[dict[str, str]]:
    with (PROJECT / "seeds" / f"{seed}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_reference_of_marts_is_up_to_date() -> None:
    reference = script("marts_reference")
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), (
        "run `python dbt_project/marts_reference.py` and commit docs/reference/marts.md"
    )


def test_every_model_and_column_is_described() -> None:
    models = documented("models", "models")
    assert {path.stem for path in MODELS} == set(models)
    for name, model in models.items():
        assert model["description"].strip(), name
        for column in model["columns"]:
            assert column["description"].strip(), f"{name}.{column['name']}"


@pytest.mark.parametrize("path", MARTS, ids=lambda path: path.stem)
def test_a_mart_ends_with_its_slot_and_build(path: Path) -> None:
    columns = documented("models", "models")[path.stem]["columns"]
    assert [column["name"] for column in columns[-2:]] == ["_slot", "_build_id"]
    slot, build = columns[-2:]
    assert {"type": "check", "expression": "_slot = '{{ target.schema }}'"} in slot["constraints"]
    assert {"type": "not_null"} in slot["constraints"]
    assert {"type": "not_null"} in build["constraints"]
    assert all(column["data_type"] for column in columns)


def test_every_mart_says_its_grain() -> None:
    for name, model in documented("models", "models/marts").items():
        assert "one row per" in model["description"].lower(), name


def test_every_source_code_maps_to_one_of_38_types() -> None:
    types = {row["type_code"]: row for row in rows("transaction_types")}
    assert len(types) == 38
    assert len({row["industry_code"] for row in types.values()}) == 10
    mapped = rows("deal_type_map")
    assert {row["type_code"] for row in mapped} == set(types)
    everywhere = {row["source_code"]: row["type_code"] for row in mapped if not row["region_code"]}
    assert len(everywhere) == 38
    assert all(type_code == f"{ord(code[0]) - 64:02d}{code[1:]}" for code, type_code in everywhere.items())


def test_every_national_class_has_its_stages() -> None:
    stages = rows("stage_map")
    classes = {row["national_class"] for row in rows("transaction_types")}
    assert classes == {row["national_class"] for row in stages} - {""}
    first = {row["national_class"]: row["stage"] for row in stages if row["bulletin_type"] == "1"}
    assert {first["01"], first["03"], first["05"]} == {"notice", "offered", "listed"}
    assert set(first.values()) == {"notice", "offered", "listed"}


def test_every_city_can_say_every_status() -> None:
    everywhere = {row["status"] for row in rows("hotline_status_map") if not row["region_code"]}
    assert len(everywhere) == 8
    assert {row["status"] for row in rows("hotline_status_map")} == everywhere


SEEDS_WITH_PROVENANCE = (
    "transaction_types", "deal_type_map", "stage_map", "divisions", "provinces", "issue_environments", "issue_sources",
    "issue_outcome_types", "responsible_kinds", "hotline_classes", "hotline_channels", "hotline_session_kinds",
    "hotline_status_map",
)  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS_WITH_PROVENANCE)
def test_every_row_of_a_seed_says_where_it_comes_from(seed: str) -> None:
    assert all(row["provenance"] for row in rows(seed))


def test_seeds_lie_in_the_project() -> None:
    """dbt writes what it compiles of a seed to <target-path>/run/.../<path>: an absolute path is the seed itself."""
    text = (PROJECT / "dbt_project.yml").read_text(encoding="utf-8")
    paths = yaml.safe_load(text)["seed-paths"]
    assert paths[0] == "seeds"
    assert all(not path.startswith(("/", "..", "{{")) for path in paths)
    assert (PROJECT / "registries" / "default").resolve() == PROJECT.parent / "include" / "registry"
