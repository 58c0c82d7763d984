"""Metrics and exposures: dbt accepts them, they speak of columns and marts that are there, nothing is left out."""

import re
from typing import Any

import pytest
import yaml
from tests.support.dbt_scripts import PROJECT, script

WORDS = {"case", "when", "then", "else", "end", "and", "or", "not", "is", "null", "true", "false", "nullif", "coalesce"}
DASHBOARDS = {"province", "trading", "supervision", "hotline", "sunshine", "sources"}


@pytest.fixture(scope="module")
def parsed() -> dict[str, Any]:
    """The manifest of the project: `dbt parse` needs no database. It validates the semantic models and metrics."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("HOST", "PORT", "USER", "PASSWORD", "DBNAME", "SCHEMA", "REGISTRY", "REBUILD"):
            patch.delenv(f"YINGSHANG_DBT_{variable}", raising=False)
        found: dict[str, Any] = script("star_schema").parsed()
        return found


def columns_of(parsed: dict[str, Any], semantic_model: dict[str, Any]) -> set[str]:
    node = parsed["nodes"][semantic_model["depends_on"]["nodes"][0]]
    return set(node["columns"])


def names_in(expression: str | None) -> set[str]:
    """Names of columns in a SQL expression of ours; texts in quotes are none."""
    bare = re.sub(r"'[^']*'", " ", expression or "")
    return set(re.findall(r"[a-z_][a-z0-9_]*", bare.lower())) - WORDS


def test_every_semantic_model_speaks_of_columns_of_its_mart(parsed: dict[str, Any]) -> None:
    assert len(parsed["semantic_models"]) >= 11
    for one in parsed["semantic_models"].values():
        columns = columns_of(parsed, one)
        for element in (*one["entities"], *one["dimensions"]):
            unknown = names_in(element["expr"] or element["name"]) - columns
            assert not unknown, f"{one['name']}.{element['name']}: no column {', '.join(sorted(unknown))}"


def test_every_metric_refers_to_columns_that_exist(parsed: dict[str, Any]) -> None:
    models = {one["name"]: one for one in parsed["semantic_models"].values()}
    metrics = parsed["metrics"].values()
    assert len(metrics) >= 40
    for one in metrics:
        if one["type"] != "simple":
            continue
        of = one["type_params"]["metric_aggregation_params"]
        model = models[of["semantic_model"]]
        expression = one["type_params"]["expr"]
        unknown = names_in(str(expression)) - columns_of(parsed, model)
        assert expression
        assert not unknown, f"{one['name']}: {model['name']} has no column {', '.join(sorted(unknown))}"
        assert of["agg_time_dimension"] in {dimension["name"] for dimension in model["dimensions"]}, one["name"]


def test_every_metric_is_labelled_and_described(parsed: dict[str, Any]) -> None:
    for one in parsed["metrics"].values():
        assert one["label"], one["name"]
        assert one["description"], one["name"]
    rates = [one for one in parsed["metrics"].values() if one["name"].endswith("_rate")]
    assert all(one["type"] in ("ratio", "derived") for one in rates), "rates are derived from counts, never stored"


def test_only_simple_metrics_stand_within_a_model() -> None:
    """dbt 1.12 forgets to remove others when it parses a changed file in part: the next build would not parse."""
    for path in (PROJECT / "models").rglob("*.yml"):
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models") or []:
            other = [one["name"] for one in model.get("metrics", []) if one["type"] != "simple"]
            assert not other, f"{path.name}: move {', '.join(other)} to the file's own `metrics`"


def test_metrics_have_a_calendar(parsed: dict[str, Any]) -> None:
    (spine,) = (node for node in parsed["nodes"].values() if node.get("time_spine"))
    assert (spine["name"], spine["columns"]["date_day"]["granularity"]) == ("dim_date", "day")


def test_six_dashboards_and_every_mart_in_one_of_them(parsed: dict[str, Any]) -> None:
    exposures = parsed["exposures"].values()
    assert {one["name"] for one in exposures} == DASHBOARDS
    used = {name for one in exposures for name in one["depends_on"]["nodes"]}
    marts = {
        name for name, node in parsed["nodes"].items() if node["fqn"][1] == "marts" and node["resource_type"] == "model"
    }
    assert used == marts


def test_the_star_schema_is_up_to_date_and_every_join_ends_at_a_column(parsed: dict[str, Any]) -> None:
    star = script("star_schema")
    assert star.PAGE.read_text(encoding="utf-8") == star.page(parsed), (
        "run `python dbt_project/star_schema.py` and commit docs/reference/star-schema.md"
    )
    columns = {node["name"]: set(node["columns"]) for node in parsed["nodes"].values() if "marts" in node["fqn"]}
    joins = star.joins(parsed)
    assert sum(one.is_tested for one in joins) >= 18
    for one in joins:
        assert one.column in columns[one.mart], one
        assert one.to_column in columns[one.to], one
    facts = {name for name in columns if name.startswith("fct_")}
    assert facts <= {one.mart for one in joins}
