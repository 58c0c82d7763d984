"""The published figures as readers see them: what the province said, what the warehouse counts, and from where."""

import datetime as dt
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Literal

from psycopg import errors
from psycopg.rows import class_row, tuple_row

from yingshang.errors import UsageError
from yingshang.warehouse import session

Verdict = Literal["holds", "differs", "incomplete"]


@dataclass(frozen=True)
class Figure:
    """A published figure and what the live publication says of it.

    Attributes:
        value: counted by event time up to the end of ``cut_off_date``; None for a rate of nothing. In ``unit``.
        current_value: the same with the published night as its cut-off.
        expected_value: what it is compared with, by ``rule`` when ``basis`` is published, exactly when simulated.
        difference: ``value`` less ``expected_value``.
        contributing_node_codes: nodes that provide its datasets and have delivered all of them.
        missing_node_codes: nodes that provide one of its datasets and have never delivered it.
        oldest_contribution_nights: nights from the last arrival of the node furthest behind to the published one.
    """

    figure: str
    system: str
    statement: str
    published_value: Decimal
    unit: str
    rule: str
    cut_off_date: dt.date
    value: Decimal | None
    current_value: Decimal | None
    expected_value: Decimal
    basis: Literal["published", "simulated"]
    difference: Decimal | None
    verdict: Verdict
    contributing_nodes: int
    contributing_node_codes: list[str]
    missing_nodes: int
    missing_node_codes: list[str]
    oldest_contribution_nights: int | None
    datasets: list[str]
    marts: list[str]


@dataclass(frozen=True)
class PublishedFigures:
    """All figures of one publication, in the order of the registry's systems."""

    night: dt.date
    publication_id: int
    figures: tuple[Figure, ...]

    def count(self, verdict: Verdict) -> int:
        return sum(one.verdict == verdict for one in self.figures)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: dates and decimals are left to the encoder."""
        return asdict(self)


def published_figures() -> PublishedFigures:
    """Read the figures of the live publication, in one snapshot, as a BI tool reads them.

    Raises:
        UsageError: nothing has been published yet, or by a code that knew no figures, or none of them.
        CredentialError, WarehouseUnavailable: the warehouse does not answer.
    """
    with session("bi_reader") as connection:
        connection.execute("set transaction isolation level repeatable read, read only")
        try:
            with connection.cursor(row_factory=tuple_row) as cursor:
                row = cursor.execute("select night, publication_id from marts.publication").fetchone()
            with connection.cursor(row_factory=class_row(Figure)) as cursor:
                found = tuple(cursor.execute(_FIGURES).fetchall())
        except errors.UndefinedTable:
            row, found = None, ()
    if row is None:
        raise UsageError("no figures have been published yet (尚未发布): run a night first, `yingshang night`")
    if not found:
        raise UsageError(
            f"publication {row[1]} of night {row[0]} holds no figures (无公布数字): rpt_published_figure is empty."
            " Build and publish it again: `yingshang build`, `yingshang audit`, `yingshang publish`"
        )
    return PublishedFigures(night=row[0], publication_id=row[1], figures=found)


_FIGURES = b"""
select
    figure, system, statement, trim_scale(published_value) as published_value, unit, rule, cut_off_date,
    trim_scale(value) as value, trim_scale(current_value) as current_value,
    trim_scale(expected_value) as expected_value, basis, trim_scale(difference) as difference, verdict,
    contributing_nodes, coalesce(string_to_array(contributing_node_codes, ', '), '{}') as contributing_node_codes,
    missing_nodes, coalesce(string_to_array(missing_node_codes, ', '), '{}') as missing_node_codes,
    oldest_contribution_nights,
    coalesce(string_to_array(datasets, ', '), '{}') as datasets, coalesce(string_to_array(marts, ', '), '{}') as marts
from marts.rpt_published_figure
order by system, figure
"""
