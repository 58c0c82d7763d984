"""What the dashboards ask, asked of tables made from the marts' contracts: all of it is there."""

from collections.abc import Iterator

import psycopg
import pytest
import yaml
from psycopg import sql

from bi.model import Chart, Dataset, load
from localpg import Cluster
from yingshang.settings import settings

BUNDLE = load()
CHARTS = [(board.name, name) for board in BUNDLE.dashboards.values() for name in board.charts]
TYPES = {"TEXT": {25}, "DATE": {1082}, "BIGINT": {20}, "INTEGER": {23}, "NUMERIC": {1700}, "BOOLEAN": {16}}
"""Type of a column in the description -> oids in PostgreSQL."""


@pytest.fixture(scope="module")
def marts(pg_server: Cluster) -> Iterator[psycopg.Connection]:
    """Empty tables for the marts, as their contracts say."""
    with psycopg.connect(pg_server.superuser_dsn()) as connection:
        connection.execute("create schema marts")
        connection.execute(
            "create table marts.publication (publication_id bigint, build_id bigint, night date,"
            " published_at timestamptz, kind text, to_seq bigint, missing_nodes jsonb)"
        )
        for path in (settings().dbt_dir / "models" / "marts").rglob("*.yml"):
            for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", []):
                columns = [
                    sql.SQL("{} {}").format(sql.Identifier(one["name"]), sql.SQL(one["data_type"]))
                    for one in model["columns"]
                ]
                connection.execute(
                    sql.SQL("create table {} ({})").format(
                        sql.Identifier("marts", model["name"]), sql.SQL(", ").join(columns)
                    )
                )
        yield connection
        connection.rollback()


@pytest.mark.parametrize("name", BUNDLE.datasets)
def test_a_dataset_has_the_columns_that_it_says(marts: psycopg.Connection, name: str) -> None:
    dataset = BUNDLE.datasets[name]
    found = marts.execute(sql.SQL("select * from ({}) as q limit 0").format(sql.SQL(dataset.query)))
    assert [one.name for one in found.description or ()] == list(dataset.all_columns)
    wrong = {
        one.name: one.type_display
        for one in found.description or ()
        if one.type_code not in TYPES[dataset.all_columns[one.name][0]]
    }
    assert not wrong


@pytest.mark.parametrize(("board", "name"), CHARTS)
def test_a_charts_query_is_valid(marts: psycopg.Connection, board: str, name: str) -> None:
    chart = BUNDLE.dashboards[board].charts[name]
    marts.execute(_query(chart, BUNDLE.datasets[chart.dataset]))


def test_a_column_that_a_contract_does_not_have_is_found(marts: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.UndefinedColumn), marts.transaction():
        marts.execute("alter table marts.rpt_hotline_kpi rename column orders to work_orders")
        test_a_dataset_has_the_columns_that_it_says(marts, "hotline_kpi")


def _query(chart: Chart, dataset: Dataset) -> sql.Composed:
    """As Superset makes it: the dataset's query inside, grouped by what the chart shows beside its metrics."""
    shown = [sql.Identifier(name) for name in (*chart.columns, *chart.by, *(one for one in (chart.x, chart.y) if one))]
    metrics = [sql.SQL("{}").format(sql.SQL(dataset.metrics[name][0])) for name in chart.all_metrics]
    conditions = [
        sql.SQL("{} is not null").format(sql.Identifier(column))
        if value == "not null"
        else sql.SQL("{} = {}").format(sql.Identifier(column), value)
        for column, value in chart.where.items()
    ]
    grouped = sql.SQL("group by {}").format(sql.SQL(", ").join(shown)) if metrics and shown else sql.SQL("")
    return sql.SQL("select {} from ({}) as q where {} {} limit {}").format(
        sql.SQL(", ").join([*shown, *metrics]),
        sql.SQL(dataset.query),
        sql.SQL(" and ").join([sql.SQL("true"), *conditions]),
        grouped,
        chart.row_limit,
    )
