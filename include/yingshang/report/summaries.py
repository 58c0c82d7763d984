"""Publications in brief: kept when a publication is announced, compared with the one before.

A mart's slot is overwritten by the build after the next, so what the next report compares with is kept in
``ops.publication_summary``: counts, figures and levels, no row of a citizen.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from yingshang.publish import serving
from yingshang.warehouse import PgConnection

LEVELS = "ABCD"


@dataclass(frozen=True)
class FigureState:
    """One published figure as readers saw it."""

    figure: str
    system: str
    statement: str
    published_value: Decimal
    unit: str
    rule: str
    value: Decimal | None
    expected_value: Decimal
    current_value: Decimal | None
    basis: str
    verdict: str
    missing_node_codes: str | None
    oldest_contribution_nights: int | None


@dataclass(frozen=True)
class LevelState:
    """Quality level of one node and system."""

    system: str
    node_code: str
    node_name: str
    quality_level: str
    shortcomings: str | None


@dataclass(frozen=True)
class Summary:
    """One publication in brief.

    Attributes:
        mart_rows: mart -> rows that readers see.
        overdue: node_code -> overdue issues of supervision.
    """

    publication_id: int
    night: dt.date
    mart_rows: Mapping[str, int]
    figures: tuple[FigureState, ...]
    levels: tuple[LevelState, ...]
    overdue: Mapping[str, int]


@dataclass(frozen=True)
class Changes:
    """What differs between two publications.

    Attributes:
        since: the earlier one; None when there is none to compare with.
        rows: (mart, rows before, rows now) of the marts that have changed.
        figures: (before, now) of those whose value, current value or verdict has changed.
        levels: (level before, now) of the sources whose level has changed, drops first.
    """

    since: Summary | None
    rows: tuple[tuple[str, int, int], ...] = ()
    figures: tuple[tuple[FigureState | None, FigureState], ...] = ()
    levels: tuple[tuple[str, LevelState], ...] = ()

    @property
    def drops(self) -> tuple[tuple[str, LevelState], ...]:
        return tuple((before, now) for before, now in self.levels if now.quality_level > before)


def keep_summary(
    connection: PgConnection, publication_id: int, slot: str, mart_rows: Mapping[str, int] | None = None
) -> None:
    """Write the summary of the live publication, unless it is written. ``connection``: as publish, autocommit.

    Args:
        mart_rows: rows per mart where the caller has counted them; else they are counted here.
    """
    known = connection.execute(
        "select 1 from ops.publication_summary where publication_id = %s", (publication_id,)
    ).fetchone()
    if known:
        return
    marts = serving.served(connection)
    counted = mart_rows if mart_rows is not None else serving.row_counts(connection, slot)
    parts = [
        _rows_of(connection, marts, "rpt_published_figure", _FIGURES, slot),
        _rows_of(connection, marts, "rpt_source_scorecard", _LEVELS, slot),
        _rows_of(connection, marts, "rpt_batch_progress", _OVERDUE, slot) or {},
    ]
    connection.execute(
        "insert into ops.publication_summary (publication_id, mart_rows, figures, levels, overdue)"
        " values (%s, %s, %s, %s, %s) on conflict (publication_id) do nothing",
        (publication_id, json.dumps(dict(counted)), *(json.dumps(part) for part in parts)),
    )


def summary_of(connection: PgConnection, publication_id: int) -> Summary | None:
    """The summary of a publication; None where none was kept (published by an older program)."""
    row = connection.execute(
        "select p.night, s.mart_rows, s.figures::text, s.levels, s.overdue from ops.publication_summary as s"
        " inner join ops.publication as p using (publication_id) where publication_id = %s",
        (publication_id,),
    ).fetchone()
    if row is None:
        return None
    night, mart_rows, figures, levels, overdue = row
    return Summary(
        publication_id=publication_id,
        night=night,
        mart_rows=dict(sorted(mart_rows.items())),
        figures=tuple(FigureState(**_exact(one)) for one in json.loads(figures, parse_float=Decimal)),
        levels=tuple(LevelState(**one) for one in levels),
        overdue=overdue,
    )


def summary_before(connection: PgConnection, publication_id: int, night: dt.date) -> Summary | None:
    """The newest summary of an earlier night, published before ``publication_id``."""
    row = connection.execute(
        "select s.publication_id from ops.publication_summary as s inner join ops.publication as p"
        " using (publication_id) where p.publication_id < %s and p.night < %s order by publication_id desc limit 1",
        (publication_id, night),
    ).fetchone()
    return summary_of(connection, row[0]) if row else None


def changes(before: Summary | None, now: Summary) -> Changes:
    """What has changed from ``before`` to ``now``."""
    if before is None:
        return Changes(None)
    marts = sorted(before.mart_rows.keys() | now.mart_rows.keys())
    rows = [(mart, before.mart_rows.get(mart, 0), now.mart_rows.get(mart, 0)) for mart in marts]
    figures = {one.figure: one for one in before.figures}
    levels = {(one.system, one.node_code): one.quality_level for one in before.levels}
    changed = [
        (levels[one.system, one.node_code], one)
        for one in now.levels
        if levels.get((one.system, one.node_code), one.quality_level) != one.quality_level
    ]
    return Changes(
        since=before,
        rows=tuple(one for one in rows if one[1] != one[2]),
        figures=tuple(
            (figures.get(one.figure), one) for one in now.figures if _said(figures.get(one.figure)) != _said(one)
        ),
        levels=tuple(sorted(changed, key=lambda pair: LEVELS.find(pair[0]) - LEVELS.find(pair[1].quality_level))),
    )


def _said(one: FigureState | None) -> tuple[object, ...]:
    return (one.value, one.current_value, one.verdict) if one else ()


def _exact(figure: dict[str, Any]) -> dict[str, Any]:
    numbers = ("published_value", "value", "expected_value", "current_value")
    return {name: Decimal(value) if name in numbers and value is not None else value for name, value in figure.items()}


def _rows_of(connection: PgConnection, marts: set[str], mart: str, query: str, slot: str) -> Any:
    """A mart of the slot as JSON; an empty list for a warehouse that does not serve it."""
    if mart not in marts:
        return []
    row = connection.execute(query.encode(), (slot,)).fetchone()
    return row[0] if row and row[0] is not None else []


_FIGURES = """
select jsonb_agg(to_jsonb(f) order by system, figure) from (
    select
        figure, system, statement, trim_scale(published_value) as published_value, unit, rule,
        trim_scale(value) as value, trim_scale(expected_value) as expected_value,
        trim_scale(current_value) as current_value, basis, verdict, missing_node_codes, oldest_contribution_nights
    from serve.rpt_published_figure where _slot = %s
) as f
"""

_LEVELS = """
select jsonb_agg(to_jsonb(l) order by quality_level desc, node_code, system) from (
    select system, node_code, node_name, quality_level, shortcomings
    from serve.rpt_source_scorecard where _slot = %s
) as l
"""

_OVERDUE = """
select jsonb_object_agg(node_code, overdue) from (
    select coalesce(node_code, 'unknown') as node_code, sum(overdue_issues)::bigint as overdue
    from serve.rpt_batch_progress where _slot = %s group by 1 having sum(overdue_issues) > 0
) as o
"""

__all__ = ["Changes", "FigureState", "LevelState", "Summary", "changes", "keep_summary", "summary_before", "summary_of"]
