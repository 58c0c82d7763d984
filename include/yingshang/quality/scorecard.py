"""The scorecard of the sources as it is published: a quality level for every node and system."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

from psycopg.rows import class_row

from yingshang.warehouse import session


@dataclass(frozen=True)
class SourceLevel:
    """One node and system of ``marts.rpt_source_scorecard``; its columns are described there.

    Rates are 0-1 and None where there is nothing to measure; ``node_quality_level`` is the worst of the node's systems.
    """

    system: str
    node_code: str
    node_name: str
    node_level: str
    quality_level: str
    node_quality_level: str
    shortcomings: str | None
    datasets: int
    arrived_datasets: int
    silent_datasets: int
    missing_datasets: str | None
    night_error_types: str | None
    missing_since_date: dt.date | None
    night_source_rows: int
    night_quarantined_rows: int
    reject_rate: Decimal | None
    reject_reasons: str | None
    timeliness_rate: Decimal | None
    drift: str | None
    unknown_rate: Decimal | None
    orphan_rate: Decimal | None
    contradictory_records: int


def published_levels() -> list[SourceLevel]:
    """The published scorecard, worst nodes first; empty before the first publication that has one.

    Raises:
        CredentialError, WarehouseUnavailable: the warehouse does not answer.
    """
    with session("publish") as connection:
        row = connection.execute("select to_regclass('marts.rpt_source_scorecard') is not null").fetchone()
        if row is None or not row[0]:
            return []
        columns = ", ".join(SourceLevel.__dataclass_fields__)
        query = (
            f"select {columns} from marts.rpt_source_scorecard"  # noqa: S608 - our own names
            " order by node_quality_level desc, node_code, quality_level desc, system"
        )
        with connection.cursor(row_factory=class_row(SourceLevel)) as cursor:
            return cursor.execute(query.encode()).fetchall()
