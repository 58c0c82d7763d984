"""Whether a page shows what PostgreSQL says, asked as the role of the user who looks at it."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, cast

from psycopg import sql
from psycopg.rows import dict_row

from bi.model import Chart, Dashboard, Dataset, load
from bi.pictures import Shown, Visit
from yingshang.warehouse import connect
from yingshang.warehouse.connections import ReaderRole

BUNDLE = load()
DRAWN = ("bar", "line", "heatmap")
AGEING = ("age_hours",)
"""Columns that are told at the time of asking."""
NO_RESULTS = "No results were returned for this query"
EPOCH = dt.date(1970, 1, 1)
DAY = 24 * 3600 * 1000
"""Superset tells a date in milliseconds."""


def differences(visit: Visit, board: Dashboard, role: str) -> list[str]:
    """All that is wrong with a visit of the role's user: errors, charts not drawn, numbers other than PostgreSQL's."""
    found = list(visit.wrong)
    for name, shown in visit.charts.items():
        chart = board.charts[name]
        dataset = BUNDLE.datasets[chart.dataset]
        found += [f"{board.name}.{name}: {one}" for one in _of_one(shown, chart, dataset, role)]
    return found


def _of_one(shown: Shown, chart: Chart, dataset: Dataset, role: str) -> Iterable[str]:
    if not shown.is_drawn:
        yield f"not drawn: {shown.text[:200]!r}"
    if shown.cut:
        yield f"cut texts {shown.cut[:5]}"
    if shown.data is None:
        yield "the page was told nothing"
        return
    rows = rows_of(chart, dataset, role)
    if shown.is_empty:
        if any(any(row.values()) for row in rows):  # a count of nothing is 0, and the page says that there is nothing
            yield f"says that there are no rows, PostgreSQL has {len(rows)}"
        return
    if not rows:
        yield f"there are no rows, and the page does not say so: {shown.text[:200]!r}"
        return
    columns = sorted(rows[0].keys() - set(AGEING))
    told, asked = _cells(shown.data, chart, columns), _cells(rows, chart, columns)
    if chart.paged:
        told, asked = Counter(told.keys() - asked.keys()), Counter()
    if told != asked:
        yield (
            f"the page was told {len(shown.data)} rows, PostgreSQL says {len(rows)};"
            f" only in the page {sorted(map(str, told - asked))[:3]}, only there {sorted(map(str, asked - told))[:3]}"
        )
    if chart.kind in DRAWN and shown.colours < 3:
        yield f"its drawing has {shown.colours} colours"
    if chart.kind == "table" and len(shown.rows) != len(shown.data):
        yield f"shows {len(shown.rows)} rows of {len(shown.data)}"
    if chart.kind == "number":
        (value,) = shown.data[0].values()
        wanted = formatted(value, dataset.metrics[str(chart.metric)][2])
        if shown.number != wanted:
            yield f"shows {shown.number}, was told {value}, which is {wanted}"


def rows_of(chart: Chart, dataset: Dataset, role: str) -> list[dict[str, Any]]:
    """The chart's rows, from its dataset's query, in PostgreSQL itself."""
    keys = [key for key in (chart.x, chart.y, *chart.by, *chart.columns) if key]
    chosen: list[sql.Composable] = [sql.Identifier(key) for key in keys]
    chosen += [
        sql.SQL("{} as {}").format(sql.SQL(cast("Any", dataset.metrics[name][0])), sql.Identifier(name))
        for name in chart.all_metrics
    ]
    kept = [
        sql.SQL("{} is not null" if value == "not null" else "{} = {}").format(
            sql.Identifier(column), *([] if value == "not null" else [sql.Literal(value)])
        )
        for column, value in {**chart.where, **_choices(chart)}.items()
    ]
    statement = sql.SQL("select {} from ({}) as q where {} {}").format(
        sql.SQL(", ").join(chosen),
        sql.SQL(cast("Any", dataset.query)),
        sql.SQL(" and ").join(kept or [sql.SQL("true")]),
        sql.SQL("group by {}").format(sql.SQL(", ").join(map(sql.Identifier, keys)))
        if keys and chart.all_metrics
        else sql.SQL(""),
    )
    with connect(ReaderRole(role)) as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement).fetchall()


def asked(role: str, statement: str | sql.Composable) -> list[tuple[Any, ...]]:
    """Rows of the marts, as the role sees them."""
    with connect(ReaderRole(role)) as connection:
        return connection.execute(statement.encode() if isinstance(statement, str) else statement).fetchall()


def formatted(value: float | None, pattern: str) -> str:
    """A number as the page writes it, by its d3 pattern."""
    if value is None:
        return "N/A"
    if pattern.endswith("d"):
        return f"{round(value):,}"
    return format(value, pattern).replace("-", "−")


def _choices(chart: Chart) -> dict[str, str]:
    """What the dashboard's filters have chosen for the chart from the start."""
    return {
        column: choice.default
        for board in BUNDLE.dashboards.values()
        for column, choice in board.choices.items()
        if any(board.charts.get(name) is chart for name in choice.charts)
    }


def _cells(rows: list[dict[str, Any]], chart: Chart, columns: list[str]) -> Counter[tuple[str, ...]]:
    """Rows as comparable tuples. A series chart's answer has a column for each series: they become rows again."""
    if chart.kind not in ("bar", "line"):
        return Counter(tuple(_plain(row.get(key, "no such column")) for key in columns) for row in rows)
    axis = str(chart.x)
    found: Counter[tuple[str, ...]] = Counter()
    for row in rows:
        series = str(row[chart.by[0]]) if chart.by and chart.by[0] in row else ""
        for key, value in row.items():
            if key != axis and key not in chart.by and value is not None:
                found[_plain(row[axis]), series or key, _plain(value)] += 1
    return found


def _plain(value: Any) -> str:
    """Numbers alike whatever their type, dates in Superset's milliseconds."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, dt.date):
        return f"{(value - EPOCH).days * DAY:.9g}"
    if isinstance(value, int | float | Decimal):
        return f"{float(value):.9g}"
    return str(value)
