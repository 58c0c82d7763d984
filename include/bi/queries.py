"""What a chart asks the warehouse: its filters and its query, as Superset's chart data API takes it."""

from typing import Any

from bi.model import Chart, Dataset

NO_PERIOD = "No filter"


def filters(chart: Chart, dataset: Dataset) -> list[dict[str, Any]]:
    """The chart's own conditions; the period is one that the dashboard's filter fills."""
    found = [condition(column, value) for column, value in chart.where.items()]
    if dataset.time and chart.period:
        found.append({"col": dataset.time, "op": "TEMPORAL_RANGE", "val": NO_PERIOD})
    return found


def query(chart: Chart, dataset: Dataset) -> dict[str, Any]:
    """One query object of `POST /api/v1/chart/data`."""
    columns: list[Any] = [*chart.columns] if chart.columns else [*chart.by]
    for axis in (chart.y, chart.x):
        if axis:
            columns.insert(0, axis)
    return {
        "columns": columns,
        "metrics": list(chart.all_metrics) or None,
        "filters": filters(chart, dataset),
        "orderby": [[name, direction == "asc"] for name, direction in chart.order_by.items()],
        "row_limit": chart.row_limit,
        "extras": {},
    }


def condition(column: str, value: bool | int | str) -> dict[str, Any]:
    """One condition on a column, as the API takes it; `not null` is a word of the description."""
    if value == "not null":
        return {"col": column, "op": "IS NOT NULL", "val": None}
    return {"col": column, "op": "==", "val": value}
