"""The schemas of past nights: marts as they were published, built again beside the slots."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import LiteralString

from psycopg.rows import class_row

from yingshang.warehouse.connections import PgConnection


@dataclass(frozen=True)
class PastNight:
    """A schema of a past night that is there.

    Attributes:
        outcome: of its last build: succeeded, failed, or None while it is being built (or was broken off).
        bytes: of all its tables.
    """

    night: dt.date
    schema_name: str
    build_id: int | None
    to_seq: int | None
    code_version: str | None
    outcome: str | None
    started_at: dt.datetime | None
    bytes: int


def schema_of(night: dt.date) -> str:
    """The schema of a past night."""
    return f"asof_{night:%Y%m%d}"


def past_nights(connection: PgConnection) -> list[PastNight]:
    """All schemas of past nights, oldest night first."""
    with connection.cursor(row_factory=class_row(PastNight)) as cursor:
        return cursor.execute(_PAST).fetchall()


_PAST: LiteralString = r"""
select
    to_date(right(n.nspname, 8), 'YYYYMMDD') as night, n.nspname::text as schema_name, b.build_id, b.to_seq,
    b.code_version, b.outcome, b.started_at,
    coalesce((
        select sum(pg_total_relation_size(c.oid)) from pg_class as c
        where c.relnamespace = n.oid and c.relkind = 'r'
    ), 0)::bigint as bytes
from pg_namespace as n
left join lateral (
    select * from ops.build as b where b.schema_name = n.nspname order by b.build_id desc limit 1
) as b on true
where n.nspname ~ '^asof_\d{8}$'
order by n.nspname
"""
