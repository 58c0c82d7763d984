"""The report's charts as SVG text: Vega-Lite specifications drawn by vl-convert, with no browser and no script.

Text stays text (``<text>`` with a list of font families), so that Chinese shows with whatever font the reader has.
Categories are told apart by shades that also differ in grey; each chart stands beside a table with the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from yingshang.report.model import Arrivals, NightRows
from yingshang.report.summaries import LEVELS, LevelState

FONTS = (
    'system-ui, "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "PingFang SC", "Microsoft YaHei",'
    ' "WenQuanYi Micro Hei", sans-serif'
)
INK, GRID = "#1f2933", "#d8dee4"
GOOD, QUIET, BAD, GONE = "#2f6f4f", "#a8cdb8", "#b3261e", "#e8a33d"
LEVEL_COLORS = {"A": GOOD, "B": QUIET, "C": GONE, "D": BAD}
WIDTH = 520
BAR = 22


def arrivals_chart(arrivals: Sequence[Arrivals]) -> str:
    """Provisions of the night by system: arrived, nothing to send, failed, not provided. SVG."""
    kinds = (
        ("loaded", "到达 arrived", GOOD),
        ("silent", "无数据 nothing to send", QUIET),
        ("failed", "失败 failed", BAD),
        ("not_provided", "未提供 not provided", GONE),
    )
    values = [
        {"system": one.system, "kind": label, "order": order, "provisions": getattr(one, field)}
        for one in arrivals
        for order, (field, label, _) in enumerate(kinds)
    ]
    return _stacked(
        values,
        ("system", [one.system for one in arrivals]),
        "provisions",
        [(label, color) for _, label, color in kinds],
        "Provisions of the night by system and outcome",
    )


def levels_chart(levels: Sequence[LevelState]) -> str:
    """Nodes of each system by quality level. SVG."""
    systems = list(dict.fromkeys(sorted(one.system for one in levels)))
    values = [
        {
            "system": system,
            "kind": level,
            "order": order,
            "nodes": sum(one.system == system and one.quality_level == level for one in levels),
        }
        for system in systems
        for order, level in enumerate(LEVELS)
    ]
    return _stacked(
        values, ("system", systems), "nodes", list(LEVEL_COLORS.items()), "Nodes of each system by quality level"
    )


def rows_chart(nights: Sequence[NightRows]) -> str:
    """Rows loaded per night, on a scale of square roots: a first load is far above the nights after it. SVG."""
    return _svg(
        {
            "width": WIDTH,
            "height": 160,
            "description": "Rows loaded into raw per night, on a scale of square roots",
            "data": {"values": [{"night": one.night.isoformat(), "rows": one.raw_rows} for one in nights]},
            "layer": [
                {"mark": {"type": "bar", "color": GOOD, "aria": False}},
                {
                    "mark": {"type": "text", "dy": -6, "color": INK, "aria": False},
                    "encoding": {"text": {"field": "rows", "type": "quantitative", "format": ",d"}},
                },
            ],
            "encoding": {
                "x": {
                    "field": "night",
                    "type": "ordinal",
                    "title": None,
                    "axis": {"labelAngle": -30},
                    "scale": {"paddingInner": 0.4},
                },
                "y": {
                    "field": "rows",
                    "type": "quantitative",
                    "title": None,
                    "scale": {"type": "sqrt"},
                    "axis": {"format": "~s", "tickCount": 4},
                },
            },
        }
    )


def _stacked(
    values: list[dict[str, Any]],
    rows: tuple[str, list[str]],
    amount: str,
    kinds: list[tuple[str, str]],
    description: str,
) -> str:
    field, order = rows
    return _svg(
        {
            "width": WIDTH,
            "height": {"step": BAR + 8},
            "description": description,
            "data": {"values": values},
            "mark": {"type": "bar", "height": BAR, "stroke": "white", "strokeWidth": 1, "aria": False},
            "encoding": {
                "y": {"field": field, "type": "nominal", "sort": order, "title": None},
                "x": {
                    "field": amount,
                    "type": "quantitative",
                    "title": None,
                    "axis": {"format": "~s", "tickMinStep": 1, "tickCount": 5},
                },
                "order": {"field": "order"},
                "color": {
                    "field": "kind",
                    "type": "nominal",
                    "title": None,
                    "sort": [label for label, _ in kinds],
                    "scale": {"domain": [label for label, _ in kinds], "range": [color for _, color in kinds]},
                    "legend": {"orient": "top", "labelLimit": 300},
                },
            },
        }
    )


def _svg(spec: dict[str, Any]) -> str:
    import vl_convert

    axis = {"labelFontSize": 13, "labelColor": INK, "labelLimit": 300, "gridColor": GRID, "domainColor": GRID}
    whole = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": None,
        "padding": {"left": 4, "right": 12, "top": 4, "bottom": 4},
        "config": {
            "font": FONTS,
            "view": {"stroke": None},
            "axis": {**axis, "ticks": False, "labelPadding": 6},
            "legend": {"labelFontSize": 13, "labelColor": INK, "symbolType": "square", "columnPadding": 18},
            "text": {"fontSize": 12},
        },
        **spec,
    }
    return str(vl_convert.vegalite_to_svg(whole))
