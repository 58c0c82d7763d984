"""The compact description of datasets and dashboards in `superset/`: one YAML file each, unknown keys are errors."""

import csv
import re
from pathlib import Path
from typing import Any, Literal

import yaml
from psycopg import sql as psql
from pydantic import BaseModel, ConfigDict, Field

from yingshang.settings import settings

HERE = Path(__file__).resolve().parent / "superset"
SEED = re.compile(r"\{seed:(\w+)\.(\w+)\}")
MART = re.compile(r"\bmarts\.(\w+)")
WHOLE_PROVINCE = "辽宁省"
Value = bool | int | str
Kind = Literal["table", "number", "bar", "line", "heatmap"]
Tone = Literal["good", "quiet", "warn", "bad", "past"]
Rule = tuple[Literal["=", ">", "<", "containing"], float | str, Tone]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Dataset(Strict):
    """One query on the marts. ``division``: the 6-digit column whose city and full name are added to it."""

    name: str
    title: str
    sql: str
    columns: dict[str, tuple[str, str]] = Field(description="column -> type, label")
    metrics: dict[str, tuple[str, str, str]] = Field(description="metric -> expression, label, number format")
    time: str | None = None
    division: str | None = None
    cache: Literal["publication", "none"] = "publication"

    @property
    def marts(self) -> set[str]:
        """Marts (and `publication`) that the query reads."""
        return set(MART.findall(self.query))

    @property
    def query(self) -> str:
        """The SQL that Superset runs: seeds as lists of values, city and full name of the division beside its code."""
        sql = SEED.sub(lambda found: _values(found[1], found[2]), self.sql).strip()
        if self.division is None:
            return sql
        indented = "\n".join(f"    {line}" for line in sql.splitlines())
        return (
            f"select\n    q.*,\n"
            f"    coalesce(d.city_name, d.division_name, q.{self.division}, 'unknown 未知') as city_name,\n"
            f"    case d.division_level\n"
            f"        when 'county' then d.city_name || d.division_name\n"
            f"        when 'city' then d.division_name || '本级'\n"
            f"        when 'province' then d.division_name || '本级'\n"
            f"        else coalesce(q.{self.division}, 'unknown 未知')\n"
            f"    end as division_full_name,\n"
            f"    concat_ws(' ', q.{self.division}, d.division_name) as division_label\n"
            f"from (\n{indented}\n) as q\n"
            f"left join marts.dim_division as d on d.region_code = q.{self.division}"
        )

    @property
    def all_columns(self) -> dict[str, tuple[str, str]]:
        """Columns of the query, those of the division included."""
        if self.division is None:
            return dict(self.columns)
        added = {
            "city_name": ("TEXT", "City 市"),
            "division_full_name": ("TEXT", "Division 区划"),
            "division_label": ("TEXT", "Division, by code 区划代码与名称"),
        }
        return {**self.columns, **added}


class Chart(Strict):
    """One chart.

    Attributes:
        where: column -> value, or `not null`.
        period: whether the period filter reaches it.
        tones: column or metric -> which of its values have which colour.
        series: metric, or value of ``by``, -> its colour; the others get one from the palette.
        legend: pixels for it on the right, where its names are too many to stand above the drawing.
        scale: colours of a heatmap: more of it, better the higher, or worse the higher.
    """

    title: str
    kind: Kind
    dataset: str
    height: int = Field(description="units of 8 pixels")
    description: str | None = None
    columns: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    metric: str | None = None
    x: str | None = None
    y: str | None = None
    order_by: dict[str, Literal["asc", "desc"]] = {}
    where: dict[str, Value] = {}
    row_limit: int = 10000
    stack: bool = False
    horizontal: bool = False
    paged: bool = False
    period: bool = True
    tones: dict[str, tuple[Rule, ...]] = {}
    series: dict[str, Tone] = {}
    scale: Literal["more", "better", "worse"] = "more"
    legend: int | None = None

    @property
    def all_metrics(self) -> tuple[str, ...]:
        return self.metrics or ((self.metric,) if self.metric else ())

    @property
    def used_columns(self) -> set[str]:
        """Columns of the dataset that the chart reads."""
        axes = {name for name in (self.x, self.y) if name}
        ordered = set(self.order_by) - set(self.all_metrics)
        return {*self.columns, *self.by, *axes, *self.where, *ordered, *(set(self.tones) - set(self.all_metrics))}


class Divisions(Strict):
    """Native filters of divisions, from the widest to the narrowest: column -> title."""

    dataset: str
    columns: dict[str, str]
    where: dict[str, dict[str, Value]] = Field(
        {}, description="column -> conditions on the rows that it is chosen from"
    )


class Choice(Strict):
    """A native filter of one value that is always chosen, for some charts."""

    title: str
    dataset: str
    default: str
    charts: tuple[str, ...]


class Dashboard(Strict):
    """One dashboard: rows of charts with their widths (12 in all), and its native filters."""

    name: str
    title: str
    rows: tuple[dict[str, int], ...]
    charts: dict[str, Chart]
    divisions: Divisions
    period: bool = True
    choices: dict[str, Choice] = {}


class Bundle(Strict):
    """All of it."""

    datasets: dict[str, Dataset]
    dashboards: dict[str, Dashboard]

    def marts_of(self, dashboard: str) -> set[str]:
        """Marts whose rows a dashboard shows, by way of its datasets."""
        used = {chart.dataset for chart in self.dashboards[dashboard].charts.values()}
        return set().union(*(self.datasets[name].marts for name in used)) - {"publication"}


def load(folder: Path = HERE) -> Bundle:
    """Read the description.

    Raises:
        pydantic.ValidationError: a file has an unknown key, or lacks one.
    """
    datasets = {path.stem: Dataset(name=path.stem, **_read(path)) for path in sorted((folder / "datasets").iterdir())}
    boards = {path.stem: Dashboard(name=path.stem, **_read(path)) for path in sorted((folder / "dashboards").iterdir())}
    return Bundle(datasets=datasets, dashboards=boards)


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def _values(seed: str, key: str) -> str:
    """A seed's keys and names as `(values ...) as v (code, label)`, in both languages where it has both."""
    with (settings().dbt_dir / "seeds" / f"{seed}.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            psql.SQL("({}, {})").format(
                row[key], f"{row['name_cn']} {row.get('name_en') or row[key].replace('_', ' ')}"
            )
            for row in csv.DictReader(file)
        ]
    found = psql.SQL("(select v.code, v.label from (values {}) as v(code, label))").format(psql.SQL(", ").join(rows))
    return found.as_string(None)
