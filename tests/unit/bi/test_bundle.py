"""The description of datasets and dashboards, and the bundle written from it. No Superset is needed."""

import re
from pathlib import Path
from typing import Any

import pydantic
import pytest
import yaml

from bi import bundle as writer
from bi.model import Bundle, Dashboard, Dataset, load
from yingshang.settings import PROJECT_ROOT, settings

NAMES = {"province", "trading", "supervision", "hotline", "sunshine", "sources"}
CHINESE, LATIN = re.compile(r"[\u4e00-\u9fff]"), re.compile(r"[A-Za-z]")
MOST_ROWS = 100_000
"""SQL_MAX_ROW of superset_config.py: what is above it is cut off, whatever a chart asks for."""


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load()


@pytest.fixture(scope="module")
def written(bundle: Bundle) -> dict[str, dict[str, Any]]:
    return dict(writer.files(bundle))


def test_the_six_dashboards_are_there(bundle: Bundle) -> None:
    assert set(bundle.dashboards) == NAMES


def test_each_chart_reads_datasets_columns_and_metrics_that_exist(bundle: Bundle) -> None:
    for board in bundle.dashboards.values():
        for name, chart in board.charts.items():
            dataset = bundle.datasets[chart.dataset]
            assert chart.used_columns <= set(dataset.all_columns), f"{board.name}.{name}"
            assert set(chart.all_metrics) <= set(dataset.metrics), f"{board.name}.{name}"
            assert chart.columns or chart.all_metrics, f"{board.name}.{name} asks for nothing"
        for filtered in (board.divisions, *board.choices.values()):
            dataset = bundle.datasets[filtered.dataset]
            columns = board.divisions.columns if filtered is board.divisions else board.choices
            assert set(columns) <= set(dataset.all_columns), board.name


def test_each_dataset_says_its_times_and_divisions_by_columns_it_has(bundle: Bundle) -> None:
    for dataset in bundle.datasets.values():
        assert {name for name in (dataset.time, dataset.division) if name} <= set(dataset.columns), dataset.name
        if dataset.time:
            assert dataset.columns[dataset.time][0] == "DATE", dataset.name
    used = {chart.dataset for board in bundle.dashboards.values() for chart in board.charts.values()}
    assert used == set(bundle.datasets), "a dataset that no chart reads"


def test_each_chart_is_placed_once_and_no_row_is_too_wide(bundle: Bundle) -> None:
    for board in bundle.dashboards.values():
        placed = [name for row in board.rows for name in row]
        assert sorted(placed) == sorted(board.charts), board.name
        assert all(sum(row.values()) == 12 for row in board.rows), board.name


def test_titles_and_labels_are_in_two_languages(bundle: Bundle) -> None:
    titles = {f"dataset {one.name}": one.title for one in bundle.datasets.values()}
    for one in bundle.datasets.values():
        titles |= {f"{one.name}.{column}": label for column, (_, label) in one.all_columns.items()}
        titles |= {f"{one.name}.{metric}": label for metric, (_, label, _) in one.metrics.items()}
    for board in bundle.dashboards.values():
        titles |= {board.name: board.title} | {f"{board.name}.{key}": one.title for key, one in board.charts.items()}
        titles |= {f"{board.name} filter {key}": title for key, title in board.divisions.columns.items()}
    poor = [where for where, title in titles.items() if not (CHINESE.search(title) and LATIN.search(title))]
    assert not poor


def test_each_dashboard_shows_night_and_age_and_is_filtered_by_period_and_division(bundle: Bundle) -> None:
    for board in bundle.dashboards.values():
        shown = [chart for chart in board.charts.values() if chart.dataset == "publication"]
        assert {"night", "age_hours", "missing_node_codes"} <= set(shown[0].columns), board.name
        assert board.period and board.divisions.columns, board.name
        assert any(bundle.datasets[chart.dataset].time and chart.period for chart in board.charts.values()), board.name


def test_the_province_shows_all_that_is_said_of_a_figure(bundle: Bundle) -> None:
    chart = bundle.dashboards["province"].charts["figures"]
    assert {"verdict", "value", "published_value", "oldest_contribution_nights", "missing_node_codes"} <= set(
        chart.columns
    )
    assert not chart.where, "all figures, not some"


def test_no_chart_cuts_rows_off_unseen(bundle: Bundle) -> None:
    nodes, types = 115, 38
    assert bundle.dashboards["trading"].charts["matrix"].row_limit >= nodes * types
    provisions = len(
        (PROJECT_ROOT / "include" / "registry" / "provisions.csv").read_text(encoding="utf-8").splitlines()
    )
    assert bundle.dashboards["sources"].charts["provisions"].row_limit >= provisions
    for board in bundle.dashboards.values():
        for name, chart in board.charts.items():
            assert 1000 <= chart.row_limit <= MOST_ROWS, f"{board.name}.{name}"
    config = (PROJECT_ROOT / "include" / "bi" / "superset" / "superset_config.py").read_text(encoding="utf-8")
    assert f"SQL_MAX_ROW = {MOST_ROWS}\n" in config


def test_every_mart_of_a_dashboard_names_it_in_its_exposure(bundle: Bundle) -> None:
    exposures = yaml.safe_load((settings().dbt_dir / "models" / "exposures.yml").read_text(encoding="utf-8"))
    known = {one["name"]: set(re.findall(r"ref\('(\w+)'\)", str(one["depends_on"]))) for one in exposures["exposures"]}
    assert set(known) == set(bundle.dashboards)
    assert [(name, mart) for name in known for mart in bundle.marts_of(name) - known[name]] == []


def test_the_bundle_is_the_same_whenever_it_is_written(bundle: Bundle, tmp_path: Path) -> None:
    writer.write(bundle, tmp_path / "a")
    writer.write(load(), tmp_path / "b")
    files = {path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.yaml")}
    assert len(files) > 70
    for path in files:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()


def test_uuids_are_unique_and_refer_to_what_is_there(written: dict[str, dict[str, Any]]) -> None:
    uuids = [content["uuid"] for content in written.values() if "uuid" in content]
    assert len(uuids) == len(set(uuids)) == len(written) - 1
    for name, content in written.items():
        for reference in ("database_uuid", "dataset_uuid"):
            assert content.get(reference, uuids[0]) in uuids, name
        for placed in content.get("position", {}).values():
            if isinstance(placed, dict) and placed["type"] == "CHART":
                assert placed["meta"]["uuid"] in uuids, name


def test_no_secret_is_in_the_bundle(written: dict[str, dict[str, Any]]) -> None:
    text = yaml.safe_dump(written)
    assert not re.search(r"://[^/\s]*:[^/\s]*@", text), "a URI with a password"
    assert not re.search(r"password|secret|token_", text, re.IGNORECASE)
    assert (
        written["databases/yingshang.yaml"]["sqlalchemy_uri"] == f"postgresql+psycopg2://{writer.PLACEHOLDER}/yingshang"
    )


def test_sql_lab_may_read_and_nothing_else(written: dict[str, dict[str, Any]]) -> None:
    database = written["databases/yingshang.yaml"]
    assert not any(database[key] for key in ("allow_dml", "allow_ctas", "allow_cvas", "allow_file_upload"))


def test_a_key_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(pydantic.ValidationError, match="colour"):
        Dashboard.model_validate({"name": "a", "title": "b", "rows": [], "charts": {}, "divisions": {}, "colour": 1})


def test_a_seeds_names_are_quoted() -> None:
    made = Dataset(name="a", title="b", sql="select * from {seed:hotline_classes.code} as c", columns={}, metrics={})
    assert "('01', '城乡建设 Housing and construction')" in made.query
