"""What changes in one night of the hotline: new orders, orders that move on, callbacks, corrections, new sessions.

A record gets at most one change a night. Nothing changes the experts who have sat up to the published figures' cut-off.
"""

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl

from simulator.books import Books, Frames, Night, NightPlan, day_of, no_rows, number_of
from simulator.habits import DAY, time_text
from simulator.hotline.figures import CUT_OFF
from simulator.hotline.history import CALLBACKS_AT_SCALE_1, FIRST_DAY, LAST, ORDERS_AT_SCALE_1, bad_rows
from simulator.hotline.orders import NEVER, Orders, callback_frame, city_nodes, live, order_frame
from simulator.hotline.people import expert_frame, session_frame, sizes, week_frame
from simulator.hotline.schema import CALLBACK, DEPARTMENT, EXPERT, EXPERT_SESSION, POLICY_WEEK, WORK_ORDER
from simulator.hotline.words import CLASSES, UNKNOWN_STATUS, known_words, status_expression, status_words
from simulator.source import Context
from simulator.versions import back_dated, booked, present, revived, touched, usual_changes

SHARES = {"correction": 0.0007, "resent": 0.0004, "tombstone": 0.0001}
AT_LEAST = {"correction": 3, "resent": 2, "tombstone": 1}
MOVES_ON = (0.95, 0.6, 0.35, 0.4, 0.3)
LATE_ORDERS = 2
UNKNOWN_DEPARTMENT = "D99"


def next_night(context: Context, books: Books, night: date) -> Night:
    """All that happens in ``night``, given the books up to the night before."""
    rng = context.rng("night", night.isoformat())
    counters = dict(books.meta.counters[context.system.name])
    delivered, late = _orders(context, books, rng, night)
    delivered |= _people(context, books, rng, night, counters)
    serial = 10_000_000 + (day_of(night) - LAST) * 10_001
    for table in (WORK_ORDER, CALLBACK):
        new = back_dated(books, rng, table, delivered[table.dataset])
        bad = bad_rows(context, rng, new, table.dataset, max(2, int(new.height * 0.0005)), serial)
        delivered[table.dataset] = pl.concat([new, bad])
    delivered["expert_session"] = back_dated(books, rng, EXPERT_SESSION, delivered["expert_session"])
    return Night(delivered, {"work_order": late}, {}, NightPlan(), counters)


def _orders(context: Context, books: Books, rng: np.random.Generator, night: date) -> tuple[Frames, pl.DataFrame]:
    """Work orders and callbacks of tonight, and the orders that come tomorrow, behind their callbacks."""
    now = (day_of(night) + 1) * DAY - 1
    usual = ORDERS_AT_SCALE_1 * context.scale / (LAST - FIRST_DAY + 1)
    count = max(int(usual * (0.65 if night.weekday() >= 5 else 1.15)), 12)
    orders = live(rng, city_nodes(rng, context.fleet, count), np.full(count, day_of(night)))
    quick = np.sort(rng.choice(count, LATE_ORDERS, replace=False))
    orders, called = _answered_at_once(orders, quick)
    rated = np.ones(count, dtype=np.bool_)
    fresh = booked(order_frame(rng, context.seed, orders, now, called, rated), WORK_ORDER, night)
    is_late = np.zeros(count, dtype=np.bool_)
    is_late[quick] = True
    moved, asked = _moved_on(books, rng, night)
    owed = booked(books.pending("work_order", day_of(night)), WORK_ORDER, night)
    numbers = pl.concat([orders.number.gather(pl.Series(quick)), _order_that_never_comes(orders, night)])
    nodes = np.concatenate([orders.node[quick], orders.node[:1]])
    when = np.append(called[quick], now - 3 * 3600)
    ahead = callback_frame(rng, numbers, nodes, when, np.ones(len(nodes), dtype=np.bool_), now)
    called_back = pl.concat([asked, booked(ahead, CALLBACK, night)])
    frames = {
        "work_order": pl.concat([owed, fresh.filter(~pl.Series(is_late)), moved]),
        "callback": called_back,
    }
    for table, at_scale_1 in ((WORK_ORDER, ORDERS_AT_SCALE_1), (CALLBACK, CALLBACKS_AT_SCALE_1)):
        busy = frames[table.dataset]
        sizes = {kind: max(AT_LEAST[kind], int(at_scale_1 * context.scale * share)) for kind, share in SHARES.items()}
        changed = usual_changes(books, rng, table, busy, night, sizes)
        changed["correction"] = CORRECT[table.dataset](changed["correction"])
        busy = pl.concat([busy, *changed.values()])
        frames[table.dataset] = pl.concat([busy, revived(books, rng, table, busy, night, 1, pl.lit(value=True))])
    return frames, _tomorrow(rng, fresh.filter(pl.Series(is_late)), night)


def _answered_at_once(orders: Orders, quick: np.ndarray) -> tuple[Orders, np.ndarray]:
    """Let a few orders be closed and called back within half an hour."""
    called = np.full(len(orders), NEVER)
    times = {
        name: getattr(orders, name).copy() for name in ("dispatched", "contacted", "replied", "closed", "withdrawn")
    }
    for name, minutes in (("dispatched", 3), ("contacted", 8), ("replied", 12), ("closed", 15)):
        times[name][quick] = orders.accepted[quick] + 60 * minutes
    times["withdrawn"][quick] = NEVER
    called[quick] = times["closed"][quick] + 600
    return replace(orders, **times), called


def _order_that_never_comes(orders: Orders, night: date) -> pl.Series:
    return orders.number[:1].str.slice(0, 6) + f"{number_of(night)}8888"


def _tomorrow(rng: np.random.Generator, frame: pl.DataFrame, night: date) -> pl.DataFrame:
    tomorrow = day_of(night) + 1
    return frame.with_columns(
        DATA_TIMESTAMP=time_text(tomorrow * DAY + rng.integers(9 * 3600, 23 * 3600, frame.height)),
        _kind=pl.lit("late_parent"),
        _due=pl.lit(tomorrow, dtype=pl.Int32),
    )


def _moved_on(books: Books, rng: np.random.Generator, night: date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Open orders that got further today, and the callbacks of those whose callers were called back."""
    recent = (pl.col("CLOSE_TIME") >= time_text(np.array([(day_of(night) - 6) * DAY]))[0]).fill_null(value=False)
    open_words, closed_words = known_words(0, 1, 2, 3, UNKNOWN_STATUS), known_words(4)
    wanted = pl.col("STATUS_NAME").is_in(open_words) | (pl.col("STATUS_NAME").is_in(closed_words) & recent)
    able = present(books, "work_order", ["STATUS_NAME", "CLOSE_TIME"], where=wanted & ~pl.col("_deleted"))
    status = able.select(status_expression()).to_series().to_numpy()
    chance = np.array([*MOVES_ON, *([0.0] * 3), 0.3])[status]
    picks = able.filter(pl.Series(rng.random(able.height) < chance)).select("_night", "_row")
    if picks.is_empty():
        return no_rows(WORK_ORDER), no_rows(CALLBACK)
    rows = touched(rng, WORK_ORDER, books.rows("work_order", picks), night, "progress")
    rated = rng.random(rows.height) < 0.8
    old = rows.select(status_expression()).to_series().to_numpy()
    new = np.where(old == 4, np.where(rated, 6, 5), np.where(old == UNKNOWN_STATUS, 2, old + 1))
    back = pl.lit(pl.Series(rng.integers(600, 3000, rows.height)))
    cursor = pl.col("DATA_TIMESTAMP").str.to_datetime("%Y%m%d%H%M%S")
    moment = (cursor - pl.duration(seconds=back)).dt.strftime("%Y%m%d%H%M%S")
    due = (cursor + pl.duration(days=5)).dt.strftime("%Y%m%d%H%M%S")
    step, word = pl.lit(pl.Series(new)), pl.col("_node").cast(pl.Int64) * (UNKNOWN_STATUS + 1) + pl.lit(pl.Series(new))
    rows = rows.with_columns(
        DISPATCH_TIME=pl.when(step >= 1).then(pl.coalesce("DISPATCH_TIME", moment)),
        DUE_TIME=pl.when(step >= 1).then(pl.coalesce("DUE_TIME", due)),
        FIRST_CONTACT_TIME=pl.when(step >= 2).then(pl.coalesce("FIRST_CONTACT_TIME", moment)),
        CLOSE_TIME=pl.when(step >= 4).then(pl.coalesce("CLOSE_TIME", moment)),
        STATUS_NAME=pl.lit(status_words()).gather(word),
    )
    asked = np.flatnonzero(old == 4)
    called = rows[asked].select(cursor.dt.epoch("s")).to_series().to_numpy() - 300
    number, node = rows["ORDER_NO"].gather(pl.Series(asked)), rows["_node"].to_numpy()[asked].astype(np.int64)
    now = (day_of(night) + 1) * DAY - 1
    return rows, booked(callback_frame(rng, number, node, called, rated[asked], now), CALLBACK, night)


def _correct_order(frame: pl.DataFrame) -> pl.DataFrame:
    """Another class, another division or another text, in turns; one is said to be closed before it was accepted."""
    turn = pl.int_range(pl.len()) % 3
    mistaken = (pl.int_range(pl.len()) == pl.col("CLOSE_TIME").is_not_null().arg_max()) & pl.col(
        "CLOSE_TIME"
    ).is_not_null()
    accepted = pl.col("ACCEPT_TIME").str.to_datetime("%Y%m%d%H%M%S") - pl.duration(hours=2)
    number = pl.col("CLASS_CODE").str.slice(0, 2).cast(pl.Int64) % len(CLASSES) + 1
    other = pl.concat_str(number.cast(pl.String).str.zfill(2), pl.col("CLASS_CODE").str.slice(2))
    city = pl.concat_str(pl.col("ORDER_NO").str.slice(0, 4), pl.lit("00"))
    return frame.with_columns(
        CLASS_CODE=pl.when(turn == 0).then(other).otherwise("CLASS_CODE"),
        DIVISION_CODE=pl.when(turn == 1).then(city).otherwise("DIVISION_CODE"),
        CLOSE_TIME=pl.when(mistaken).then(accepted.dt.strftime("%Y%m%d%H%M%S")).otherwise("CLOSE_TIME"),
        CONTENT=pl.when(turn == 2).then(pl.col("CONTENT") + "（补充）").otherwise("CONTENT"),
    ).with_columns(_type=pl.col("CLASS_CODE").str.slice(0, 2))


def _correct_callback(frame: pl.DataFrame) -> pl.DataFrame:
    """Another mark; where there was none, the caller has given one now."""
    mark = pl.col("SATISFACTION_CODE").cast(pl.Int64).fill_null(0) % 4 + 1
    return frame.with_columns(SATISFACTION_CODE=mark.cast(pl.String))


CORRECT = {"work_order": _correct_order, "callback": _correct_callback}


def _people(context: Context, books: Books, rng: np.random.Generator, night: date, counters: dict[str, int]) -> Frames:
    """Sessions of tonight, small changes of experts, departments and weeks; from the cut-off on also new experts."""
    today, after = day_of(night), str(number_of(night)) > CUT_OFF
    experts, departments = sizes(context)
    found: Frames = {}
    found["department"] = usual_changes(books, rng, DEPARTMENT, no_rows(DEPARTMENT), night, {"resent": 1})["resent"]

    changed = usual_changes(books, rng, EXPERT, no_rows(EXPERT), night, {"correction": 2, "resent": 1})
    corrected = _moved_expert(books, changed["correction"], departments)
    fresh: list[pl.DataFrame] = []
    sitting = rng.choice(np.arange(1, experts + 1), 5, replace=False)
    if after and today % 3 == 0:
        counters["expert"] += 1
        number = np.array([counters["expert"]])
        frame = expert_frame(context, rng, number, np.array([today // 3 % departments + 1]), np.array([today]))
        unknown = today % 9 == 0
        fresh.append(
            booked(frame.with_columns(DEPT_CODE=pl.lit(UNKNOWN_DEPARTMENT)) if unknown else frame, EXPERT, night)
        )
        sitting = np.append(sitting, number)
    found["expert"] = pl.concat([corrected, changed["resent"], *fresh])

    numbers = np.arange(1, len(sitting) + 1) + counters["session"]
    counters["session"] += len(sitting)
    new = booked(session_frame(rng, numbers, sitting, np.full(len(sitting), today), today), EXPERT_SESSION, night)
    gone = _session_to_spare(books, rng, night)
    changed = usual_changes(books, rng, EXPERT_SESSION, gone, night, {"correction": 2, "resent": 2})
    retitled = changed["correction"].with_columns(TOPIC=pl.col("TOPIC") + "（专场）")
    found["expert_session"] = pl.concat([new, retitled, changed["resent"], gone])

    changed = usual_changes(books, rng, POLICY_WEEK, no_rows(POLICY_WEEK), night, {"correction": 1, "resent": 1})
    code = pl.lit(UNKNOWN_DEPARTMENT) if (today - LAST) % 3 == 1 else pl.col("DEPT_CODE")
    reworded = changed["correction"].with_columns(INTERPRETATION=pl.col("INTERPRETATION") + "（修订）", DEPT_CODE=code)
    weeks = [reworded, changed["resent"]]
    if night.weekday() == 0:
        weeks.append(booked(week_frame(rng, np.array([today]), departments, today), POLICY_WEEK, night))
    found["policy_week"] = pl.concat(weeks)
    return found


def _moved_expert(books: Books, rows: pl.DataFrame, departments: int) -> pl.DataFrame:
    """Experts with another specialty; the first goes to another department, when the present one keeps two."""
    staff = present(books, "expert", ["DEPT_CODE"]).filter(~pl.col("_deleted")).group_by("DEPT_CODE").len()
    known = [f"D{n:02d}" for n in range(1, departments + 1)]
    enough = staff.filter((pl.col("len") >= 3) & pl.col("DEPT_CODE").is_in(known))["DEPT_CODE"].to_list()
    following = dict(zip(known, [*known[1:], known[0]], strict=True))
    moves = (pl.int_range(pl.len()) == 0) & pl.col("DEPT_CODE").is_in(enough)
    return rows.with_columns(
        SPECIALTY=pl.col("SPECIALTY") + "（综合）",
        DEPT_CODE=pl.when(moves).then(pl.col("DEPT_CODE").replace(following)).otherwise("DEPT_CODE"),
    )


def _session_to_spare(books: Books, rng: np.random.Generator, night: date) -> pl.DataFrame:
    """A session that is cancelled: of an expert who keeps two others before the cut-off."""
    sessions = present(books, "expert_session", ["EXPERT_CODE", "SESSION_DATE"])
    sessions = sessions.filter(~pl.col("_deleted") & (pl.col("SESSION_DATE").str.slice(0, 8) <= CUT_OFF))
    able = sessions.filter(pl.len().over("EXPERT_CODE") >= 3)
    picks = able[rng.permutation(able.height)[:1]]
    return touched(rng, EXPERT_SESSION, books.rows("expert_session", picks), night, "tombstone", deleted=True)
