"""The table that the landing gate validates: one row per batch that no event speaks of yet.

Everything is measured set-based: the ledger's figures, the rows of the batch in raw counted anew, and the admitted
history of the same provision. docs/reference/quality.md lists the columns. A measure that says nothing for a batch (too
few rows, no history) is null, and an expectation passes over it.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from yingshang.contracts import Column, Contract
from yingshang.quality.derived import code_list, null_share, unknown_share
from yingshang.settings import settings

FLOOR_ROWS = 20
"""Shares and ratios of fewer rows than this are noise."""
FLOOD_ROWS = 1000
"""Fewer rows than this are no flood, whatever the history."""
HISTORY_BATCHES = 30
"""How many admitted deltas of a provision make its usual volume, at most."""
LEAST_HISTORY = 3
"""With fewer admitted deltas there is no usual volume."""

DEAL_CODE_COLUMNS = ("UNIFIED_DEAL_CODE", "UNIFIED_DEAL_CODES")


@dataclass(frozen=True)
class Profiles:
    """Profiles of the batches of one dataset. ``columns`` are the keys of each row."""

    dataset: str
    columns: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]


def profile(connection: psycopg.Connection[Any], contract: Contract, batch_ids: Sequence[int]) -> Profiles:
    """Profiles of these batches of one dataset."""
    parameters: dict[str, Any] = {
        "batch_ids": list(batch_ids),
        "deletes": list(contract.delete_values),
        "floor": FLOOR_ROWS,
        "flood": FLOOD_ROWS,
        "history": HISTORY_BATCHES,
        "least": LEAST_HISTORY,
        "reject_floor": contract.reject_floor,
    }
    counts, shares = [], []
    for number, column in enumerate(contract.columns):
        name = sql.Identifier("r", column.raw_name)
        alias = sql.Identifier(f"n{number}")
        live = sql.SQL("" if column.required else " and not is_tombstone")
        counts.append(sql.SQL("count(*) filter (where {} is null{}) as {}").format(name, live, alias))
        rows = sql.SQL(_ALL_ROWS if column.required else _LIVE_ROWS)
        shares.append(sql.SQL("m.{}::float8 / {} as {}").format(alias, rows, sql.Identifier(null_share(column))))
        codes = code_list(column)
        if codes:
            key, alias = f"codes{number}", sql.Identifier(f"u{number}")
            parameters[key] = list(codes)
            code = (
                sql.SQL("left(x, {})").format(sql.Literal(column.known_length)) if column.known_length else sql.SQL("x")
            )
            counts.append(
                sql.SQL("count(*) filter (where {}) as {}").format(
                    _unknown(column, sql.SQL("{} <> all({})").format(code, sql.Placeholder(key))), alias
                )
            )
            rows = sql.SQL(_ALL_ROWS if column.allowed else _ENOUGH_ROWS)
            shares.append(sql.SQL("m.{}::float8 / {} as {}").format(alias, rows, sql.Identifier(unknown_share(column))))
    deal_code = next((column for column in contract.columns if column.name in DEAL_CODE_COLUMNS), None)
    parameters["types"] = known_source_types()
    if deal_code is not None and parameters["types"]:
        unknown_type = _unknown(deal_code, sql.SQL("left(x, 3) <> all(%(types)s)"))
    else:
        unknown_type = sql.SQL("null")
    query = sql.SQL(_QUERY).format(
        raw=sql.Identifier("raw", contract.raw_table),
        delete=sql.Identifier(contract.delete_column.lower()),
        cursor=sql.Identifier(contract.cursor.lower()),
        unknown_type=unknown_type,
        counts=sql.SQL(",\n        ").join(counts),
        shares=sql.SQL(",\n    ").join(shares),
    )
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(query, parameters)
        columns = tuple(column.name for column in cursor.description or ())
        return Profiles(contract.name, columns, tuple(cursor.fetchall()))


def known_source_types() -> list[str]:
    """Source codes of transaction types in the seed ``deal_type_map``; none when the seed is not there."""
    codes: set[str] = set()
    for path in (settings().dbt_dir / "seeds").rglob("deal_type_map.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            codes.update(row["source_code"] for row in csv.DictReader(file))
    return sorted(codes)


def _unknown(column: Column, condition: sql.Composable) -> sql.Composable:
    """Whether a value, or one of several values in it, fulfils a condition on ``x``."""
    name = sql.Identifier("r", column.raw_name)
    if column.multi is None:
        return sql.SQL("(select {} from (select {} as x) v)").format(condition, name)
    values = sql.SQL("unnest(string_to_array({}, {})) x").format(name, sql.Literal(column.multi))
    return sql.SQL("exists (select from {} where {})").format(values, condition)


_ALL_ROWS = "nullif(m.counted_rows, 0)"
_ENOUGH_ROWS = "case when m.counted_rows >= %(floor)s then m.counted_rows end"
_LIVE_ROWS = "case when m.live_rows >= %(floor)s then m.live_rows end"

_QUERY = """
with tonight as materialized (
    select * from ops.batch_state where batch_id = any(%(batch_ids)s)
),
admitted as materialized (
    select *
    from ops.batch_state
    where event = 'admitted' and (system, dataset, node_code) in (select system, dataset, node_code from tonight)
),
candidates as materialized (
    select
        b.batch_id, b.node_code, b.kind, b.night, b.source_rows, b.raw_rows, b.drop_period, b.cursor_low,
        b.cursor_high, b.is_admitted,
        case
            when b.kind = 'drop' then b.drop_period = min(b.drop_period) over (partition by b.node_code)
            else coalesce(b.cursor_low, '') < '1900'
        end as is_whole,
        b.source_rows::float8 / greatest(1, case
            when b.kind <> 'drop' and b.cursor_low ~ '^\\d{{14}}$' and b.cursor_high ~ '^\\d{{14}}$'
            then extract(epoch from
                to_timestamp(b.cursor_high, 'YYYYMMDDHH24MISS') - to_timestamp(b.cursor_low, 'YYYYMMDDHH24MISS')
            )::float8 / 86400
        end) as daily_rows
    from (
        select *, false as is_admitted from tonight
        union all
        select *, true as is_admitted from admitted
    ) b
),
counted as materialized (
    select
        r._batch_id as batch_id,
        count(*) as counted_rows,
        count(*) filter (where is_tombstone) as tombstone_rows,
        count(*) filter (where not is_tombstone) as live_rows,
        count(*) filter (where {unknown_type}) as unknown_type_rows,
        max(r.{cursor}) as newest_cursor,
        {counts}
    from (
        select raw.*, raw.{delete} = any(%(deletes)s) as is_tombstone
        from {raw} raw
        where raw._batch_id = any(%(batch_ids)s)
    ) r
    group by r._batch_id
),
timed as (
    select
        t.*,
        c.is_whole,
        c.daily_rows,
        case when t.source_clock ~ '^\\d{{14}}$' then to_timestamp(t.source_clock, 'YYYYMMDDHH24MISS')::timestamp
        end as clock_at,
        case when t.cursor_high ~ '^\\d{{14}}$' then to_timestamp(t.cursor_high, 'YYYYMMDDHH24MISS')::timestamp
        end as high_at,
        case when m.newest_cursor ~ '^\\d{{14}}$' then to_timestamp(m.newest_cursor, 'YYYYMMDDHH24MISS')::timestamp
        end as newest_at,
        case when t.drop_period ~ '^\\d{{8}}$' then to_date(t.drop_period, 'YYYYMMDD') end as drop_date
    from tonight t
    join candidates c on c.batch_id = t.batch_id
    left join counted m on m.batch_id = t.batch_id
)
select
    t.batch_id,
    t.node_code,
    t.kind,
    t.source_rows,
    t.raw_rows,
    t.raw_rows - coalesce(m.counted_rows, 0) as uncounted_rows,
    t.quarantined_rows,
    t.quarantined_rows::float8 / nullif(t.source_rows, 0) as reject_share,
    case when t.quarantined_rows > %(reject_floor)s then t.quarantined_rows::float8 / nullif(t.source_rows, 0)
    end as reject_share_past_floor,
    case when t.source_rows >= %(floor)s then t.duplicate_rows::float8 / t.source_rows end as duplicate_share,
    history.batches as history_batches,
    history.median_rows as history_median_rows,
    case when history.batches >= %(least)s and t.source_rows >= %(flood)s and not t.is_whole
        then t.daily_rows / greatest(1, history.median_rows)
    end as flood_ratio,
    case when history.batches >= %(least)s and history.median_rows >= %(floor)s and not t.is_whole
        then t.daily_rows / history.median_rows
    end as drought_ratio,
    t.source_rows::float8 / nullif(before.full_rows, 0) as full_reread_ratio,
    t.source_rows::float8 / nullif(before.window_rows, 0) as window_reread_ratio,
    t.source_rows::float8 / nullif(before.drop_rows, 0) as resend_ratio,
    t.source_rows::float8 / nullif(before.replaced_rows, 0) as replacement_ratio,
    m.tombstone_rows,
    case when m.tombstone_rows >= %(floor)s and t.kind <> 'reconcile'
        then m.tombstone_rows::float8 / nullif(before.known_rows, 0)
    end as deleted_share_of_known,
    case when m.counted_rows >= %(floor)s then m.unknown_type_rows::float8 / m.counted_rows end as unknown_type_share,
    extract(epoch from t.high_at - t.clock_at)::float8 / 3600 as cursor_ahead_hours,
    case when m.newest_cursor > before.known_cursor then extract(epoch from t.clock_at - t.newest_at)::float8 / 86400
    end as newest_age_days,
    case when t.kind <> 'drop' then extract(epoch from t.night + 1 - t.clock_at)::float8 / 86400
    end as clock_behind_night_days,
    case when before.known_rows > 0 then t.night - t.drop_date end as drop_age_days,
    t.drift::text as drift,
    lost.columns as lost_columns,
    {shares}
from timed t
left join counted m on m.batch_id = t.batch_id
cross join lateral (
    select count(*) as batches, percentile_cont(0.5) within group (order by recent.daily_rows) as median_rows
    from (
        select h.daily_rows
        from candidates h
        where h.node_code = t.node_code and h.is_admitted and not h.is_whole and h.kind in ('window', 'drop')
        order by h.batch_id desc
        limit %(history)s
    ) recent
) history
cross join lateral (
    select
        sum(h.raw_rows) as known_rows,
        max(h.cursor_high) as known_cursor,
        max(h.source_rows) filter (
            where h.source_rows >= %(floor)s and t.kind <> 'drop' and h.kind <> 'drop'
                and t.is_whole and h.is_whole and h.cursor_high <= t.cursor_high
        ) as full_rows,
        max(h.source_rows) filter (
            where h.source_rows >= %(floor)s and t.kind <> 'drop' and h.kind <> 'drop'
                and not t.is_whole and h.cursor_low = t.cursor_low and h.cursor_high = t.cursor_high
        ) as window_rows,
        max(h.source_rows) filter (
            where h.source_rows >= %(floor)s and h.kind = 'drop' and h.drop_period = t.drop_period
        ) as drop_rows,
        max(h.source_rows) filter (
            where h.source_rows >= %(floor)s and t.is_replacement and h.night = t.night
                and t.kind in ('window', 'reload') and h.kind in ('window', 'reload')
                and (t.cursor_low is null or h.cursor_low >= t.cursor_low) and h.cursor_high <= t.cursor_high
        ) as replaced_rows
    from candidates h
    where h.node_code = t.node_code and h.is_admitted
) before
cross join lateral (
    select string_agg(tonight_share.name, ', ' order by tonight_share.name) as columns
    from jsonb_each_text(t.profile -> 'null_share') as tonight_share (name, share)
    cross join lateral (
        select sum(h.raw_rows * (h.profile -> 'null_share' ->> tonight_share.name)::float8) / sum(h.raw_rows) as share
        from admitted h
        where h.node_code = t.node_code and h.raw_rows > 0
    ) usual
    where m.live_rows >= %(floor)s and m.tombstone_rows < m.live_rows
        and tonight_share.share::float8 >= 0.99 and usual.share <= 0.3
) lost
order by t.batch_id
"""
