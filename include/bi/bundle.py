"""The bundle that `superset import-directory` takes, written from the compact description. No secret is in it."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from bi.model import Bundle, Chart, Dashboard, Dataset
from bi.queries import NO_PERIOD, condition, filters

NAMESPACE = uuid.UUID("6d1f4a52-7b1e-5c53-9a5d-2b6f0f7f1c21")
VERSION = "1.0.0"
DATABASE = "Yingshang 营商"
PLACEHOLDER = "login-of-the-users-role"
"""Host of the database's URI in the bundle; the connection mutator puts the login of the user's role in its place."""
NOT_CACHED = -1
COLOURS = "supersetColors"
FILLS = {"good": "#d3ebdf", "warn": "#fbe7c3", "bad": "#f9d3cf"}
"""Behind a table's cell; the words stand on it in dark."""
SERIES = {"good": "#2f7d58", "quiet": "#a8cdb8", "warn": "#e8a33d", "bad": "#b3261e", "past": "#a3abb5"}
"""Of lines, bars and big numbers: as in the night's report."""
PAGE = 20
CSS = """
.dashboard th, .dashboard td, .dashboard .header-title { word-break: keep-all; }
.dashboard .dt-select-page-size, .dashboard .dt-controls .search-select-container { display: none; }
.ant-alert:has(.ant-typography[style*="pre-wrap"]) { padding: 4px 8px !important; }
.ant-alert:has(.ant-typography[style*="pre-wrap"]) .ant-alert-icon { display: none !important; }
.ant-alert:has(.ant-typography[style*="pre-wrap"]) .ant-alert-message { display: none !important; }
.ant-alert .ant-typography[style*="pre-wrap"] { font: inherit !important; font-size: 12px !important; }
"""
"""Chinese words are not broken in two; a table has no controls for searches that it does not offer. A sentence in place
of a chart is the sentence, with no title above it: it has room in the smallest chart."""


def identity(kind: str, name: str) -> str:
    """The uuid of an object: the same whenever and wherever the bundle is written."""
    return str(uuid.uuid5(NAMESPACE, f"{kind}/{name}"))


def write(bundle: Bundle, folder: Path) -> None:
    """Write the bundle into ``folder``, in place of what was there."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files(bundle):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=120), encoding="utf-8")


def files(bundle: Bundle) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and content of each file of the bundle."""
    yield "metadata.yaml", {"version": VERSION, "type": "assets", "timestamp": "2024-08-15T00:00:00+00:00"}
    yield "databases/yingshang.yaml", _database()
    for dataset in bundle.datasets.values():
        yield f"datasets/yingshang/{dataset.name}.yaml", _dataset(dataset)
    numbers = {(board.name, chart): 0 for board in bundle.dashboards.values() for chart in board.charts}
    numbers = {key: number for number, key in enumerate(numbers, start=1)}
    for board in bundle.dashboards.values():
        for name, chart in board.charts.items():
            yield f"charts/{board.name}_{name}.yaml", _chart(board, name, chart, bundle.datasets[chart.dataset])
        yield (
            f"dashboards/{board.name}.yaml",
            _dashboard(board, {name: numbers[board.name, name] for name in board.charts}),
        )


def _database() -> dict[str, Any]:
    return {
        "database_name": DATABASE,
        "sqlalchemy_uri": f"postgresql+psycopg2://{PLACEHOLDER}/yingshang",
        "expose_in_sqllab": True,
        "allow_run_async": False,
        "allow_ctas": False,
        "allow_cvas": False,
        "allow_dml": False,
        "allow_file_upload": False,
        "impersonate_user": False,
        "extra": {"per_user_caching": True},
        "uuid": identity("database", "yingshang"),
        "version": VERSION,
    }


def _dataset(dataset: Dataset) -> dict[str, Any]:
    return {
        "table_name": dataset.name,
        "description": f"{dataset.title}. Marts: {', '.join(sorted(dataset.marts))}.",
        "main_dttm_col": dataset.time,
        "cache_timeout": NOT_CACHED if dataset.cache == "none" else None,
        "schema": "marts",
        "sql": dataset.query,
        "filter_select_enabled": True,
        "columns": [
            {
                "column_name": name,
                "verbose_name": label,
                "type": kind,
                "is_dttm": kind == "DATE",
                "groupby": True,
                "filterable": True,
                "is_active": True,
            }
            for name, (kind, label) in dataset.all_columns.items()
        ],
        "metrics": [
            {"metric_name": name, "verbose_name": label, "expression": expression, "d3format": number}
            for name, (expression, label, number) in dataset.metrics.items()
        ],
        "uuid": identity("dataset", dataset.name),
        "version": VERSION,
        "database_uuid": identity("database", "yingshang"),
    }


def _chart(board: Dashboard, name: str, chart: Chart, dataset: Dataset) -> dict[str, Any]:
    kind, params = _KINDS[chart.kind](chart, dataset)
    return {
        "slice_name": chart.title,
        "description": chart.description,
        "viz_type": kind,
        "params": {
            "viz_type": kind,
            "adhoc_filters": [_adhoc(one) for one in filters(chart, dataset)],
            "row_limit": chart.row_limit,
            "color_scheme": COLOURS,
            "extra_form_data": {},
            **params,
        },
        "cache_timeout": None,
        "uuid": identity("chart", f"{board.name}/{name}"),
        "version": VERSION,
        "dataset_uuid": identity("dataset", chart.dataset),
    }


def _adhoc(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "clause": "WHERE",
        "expressionType": "SIMPLE",
        "subject": one["col"],
        "operator": one["op"],
        "comparator": one["val"],
    }


def _table(chart: Chart, dataset: Dataset) -> tuple[str, dict[str, Any]]:
    formats = {name: {"d3NumberFormat": dataset.metrics[name][2]} for name in chart.all_metrics}
    params: dict[str, Any] = {
        "query_mode": "raw" if chart.columns else "aggregate",
        "order_desc": False,
        "server_pagination": chart.paged,
        "server_page_length": PAGE,
        "page_length": 0 if not chart.paged else PAGE,
        "include_search": False,
        "show_cell_bars": False,
        "allow_rearrange_columns": True,
        "table_timestamp_format": "%Y-%m-%d",
        "column_config": {**_plain(chart, dataset), **formats},
        "conditional_formatting": _tones(chart, FILLS),
    }
    if chart.columns:
        ordered = [f'["{name}", {"true" if way == "asc" else "false"}]' for name, way in chart.order_by.items()]
        return "table", params | {"all_columns": list(chart.columns), "order_by_cols": ordered}
    first = next(iter(chart.order_by), None)
    if first in dataset.metrics:
        params |= {"timeseries_limit_metric": first, "order_desc": chart.order_by[str(first)] == "desc"}
    return "table", params | {"groupby": list(chart.by), "metrics": list(chart.metrics)}


def _plain(chart: Chart, dataset: Dataset) -> dict[str, dict[str, Any]]:
    """Whole numbers are shown as such, and not as 2.2k."""
    wanted = {"BIGINT": ",d", "INTEGER": ",d", "NUMERIC": ",.2~f"}
    return {
        name: {"d3NumberFormat": wanted[dataset.all_columns[name][0]]}
        for name in chart.columns
        if dataset.all_columns[name][0] in wanted
    }


def _number(chart: Chart, dataset: Dataset) -> tuple[str, dict[str, Any]]:
    metric = str(chart.metric)
    return "big_number_total", {
        "metric": metric,
        "y_axis_format": dataset.metrics[metric][2],
        "header_font_size": 0.4,
        "conditional_formatting": _tones(chart, SERIES),
    }


def _tones(chart: Chart, colours: dict[str, str]) -> list[dict[str, Any]]:
    """Values of a column or metric that have a colour of their own."""
    return [
        {
            "column": name,
            "operator": rule,
            "targetValue": value,
            "colorScheme": colours[tone],
            "useGradient": False,
            "objectFormatting": "BACKGROUND_COLOR",
        }
        for name, rules in chart.tones.items()
        for rule, value, tone in rules
    ]


def _series(kind: str) -> Any:
    def params(chart: Chart, dataset: Dataset) -> tuple[str, dict[str, Any]]:
        number = dataset.metrics[chart.metrics[0]][2]
        is_time = dataset.all_columns[str(chart.x)][0] == "DATE"
        return kind, {
            "x_axis": chart.x,
            "x_axis_sort": next(iter(chart.order_by), chart.x) if chart.horizontal else None,
            "x_axis_sort_asc": not chart.horizontal or bool(chart.order_by),  # a horizontal axis begins at the bottom
            "x_axis_time_format": "%Y-%m",
            "time_grain_sqla": None,
            "metrics": list(chart.metrics),
            "groupby": list(chart.by),
            "stack": "Stack" if chart.stack else None,
            "orientation": "horizontal" if chart.horizontal else "vertical",
            "show_legend": len(chart.metrics) > 1 or bool(chart.by),
            "legendType": "plain",
            "legendSort": "asc" if chart.by else None,
            "sort_series_type": "name" if chart.by else None,
            "sort_series_ascending": True,
            "legendOrientation": "right" if chart.legend else "top",
            "legendMargin": chart.legend,
            "rich_tooltip": True,
            "show_value": False,
            "markerEnabled": False,
            "truncate_metric": True,
            "show_empty_columns": True,
            "y_axis_format": number,
            "truncateYAxis": _is_share(number),
            "y_axis_bounds": [0, None if chart.horizontal else 1] if _is_share(number) else [None, None],
            "tooltipTimeFormat": "%Y-%m",
            "xAxisLabelRotation": 0 if is_time or chart.horizontal else 20,
            "xAxisForceCategorical": not is_time,
        }

    return params


def _heatmap(chart: Chart, dataset: Dataset) -> tuple[str, dict[str, Any]]:
    number = dataset.metrics[str(chart.metric)][2]
    return "heatmap_v2", {
        "x_axis": chart.x,
        "groupby": chart.y,
        "metric": chart.metric,
        "sort_x_axis": "alpha_asc",
        "sort_y_axis": "alpha_desc",
        "normalize_across": "heatmap",
        "legend_type": "continuous",
        "linear_color_scheme": f"yingshang_{chart.scale}",
        "xscale_interval": 1,
        "yscale_interval": 1,
        "left_margin": 50,
        "bottom_margin": "auto",
        "xAxisLabelRotation": 90 if chart.height > 100 else 30,
        "value_bounds": [0, 1 if _is_share(number) else None],
        "y_axis_format": number,
        "show_legend": True,
        "show_percentage": False,
        "show_values": False,
        "normalized": False,
    }


_KINDS: dict[str, Any] = {
    "table": _table,
    "number": _number,
    "bar": _series("echarts_timeseries_bar"),
    "line": _series("echarts_timeseries_line"),
    "heatmap": _heatmap,
}


def _label_colours(board: Dashboard) -> dict[str, str]:
    """Colours of series, by metric or value."""
    return {name: SERIES[tone] for chart in board.charts.values() for name, tone in chart.series.items()}


def _dashboard(board: Dashboard, numbers: dict[str, int]) -> dict[str, Any]:
    return {
        "dashboard_title": board.title,
        "slug": board.name,
        "published": True,
        "css": CSS,
        "uuid": identity("dashboard", board.name),
        "position": _position(board, numbers),
        "metadata": {
            "native_filter_configuration": _native_filters(board, numbers),
            "color_scheme": COLOURS,
            "label_colors": _label_colours(board),
            "cross_filters_enabled": True,
            "chart_configuration": {},
            "global_chart_configuration": {},
            "timed_refresh_immune_slices": [],
            "expanded_slices": {},
            "refresh_frequency": 0,
            "default_filters": "{}",
        },
        "version": VERSION,
    }


def _position(board: Dashboard, numbers: dict[str, int]) -> dict[str, Any]:
    rows = [f"ROW-{index}" for index in range(len(board.rows))]
    placed: dict[str, Any] = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
        "GRID_ID": {"type": "GRID", "id": "GRID_ID", "children": rows, "parents": ["ROOT_ID"]},
        "HEADER_ID": {"type": "HEADER", "id": "HEADER_ID", "meta": {"text": board.title}},
    }
    for row, widths in zip(rows, board.rows, strict=True):
        placed[row] = {
            "type": "ROW",
            "id": row,
            "children": [f"CHART-{name}" for name in widths],
            "parents": ["ROOT_ID", "GRID_ID"],
            "meta": {"background": "BACKGROUND_TRANSPARENT"},
        }
        for name, width in widths.items():
            chart = board.charts[name]
            placed[f"CHART-{name}"] = {
                "type": "CHART",
                "id": f"CHART-{name}",
                "children": [],
                "parents": ["ROOT_ID", "GRID_ID", row],
                "meta": {
                    "chartId": numbers[name],
                    "uuid": identity("chart", f"{board.name}/{name}"),
                    "sliceName": chart.title,
                    "width": width,
                    "height": chart.height,
                },
            }
    return placed


def _is_share(number: str) -> bool:
    """A rate between 0 and 1, by its number format; a change has a sign and no bounds."""
    return number.endswith("%") and not number.startswith("+")


def _native_filters(board: Dashboard, numbers: dict[str, int]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if board.period:
        unreached = [numbers[name] for name, chart in board.charts.items() if not chart.period]
        found.append(_native("period", "Period 期间", "filter_time", [{}], {}, [], unreached))
    above: list[str] = []
    for column, title in board.divisions.columns.items():
        target = {"column": {"name": column}, "datasetUuid": identity("dataset", board.divisions.dataset)}
        control = {"multiSelect": True, "enableEmptyFilter": False, "searchAllOptions": True, "sortAscending": True}
        chosen_from = [_adhoc(condition(*one)) for one in board.divisions.where.get(column, {}).items()]
        one = _native(column, title, "filter_select", [target], control, list(above), [])
        found.append(one | ({"adhoc_filters": chosen_from} if chosen_from else {}))
        above = [_filter_id(column)]
    for column, choice in board.choices.items():
        target = {"column": {"name": column}, "datasetUuid": identity("dataset", choice.dataset)}
        control = {"multiSelect": False, "enableEmptyFilter": True, "defaultToFirstItem": False}
        unreached = [number for name, number in numbers.items() if name not in choice.charts]
        chosen = {
            "extraFormData": {"filters": [{"col": column, "op": "IN", "val": [choice.default]}]},
            "filterState": {"value": [choice.default], "label": choice.default},
        }
        one = _native(column, choice.title, "filter_select", [target], control, [], unreached)
        found.append(one | {"defaultDataMask": chosen})
    return found


def _filter_id(name: str) -> str:
    return f"NATIVE_FILTER-{name}"


def _native(
    name: str,
    title: str,
    kind: str,
    targets: list[dict[str, Any]],
    control: dict[str, Any],
    above: list[str],
    unreached: list[int],
) -> dict[str, Any]:
    return {
        "id": _filter_id(name),
        "name": title,
        "filterType": kind,
        "type": "NATIVE_FILTER",
        "targets": targets,
        "controlValues": control,
        "defaultDataMask": {"extraFormData": {}, "filterState": {}},
        "cascadeParentIds": above,
        "scope": {"rootPath": ["ROOT_ID"], "excluded": unreached},
        "description": "",
    }


__all__ = ["DATABASE", "NO_PERIOD", "PLACEHOLDER", "files", "identity", "write"]
