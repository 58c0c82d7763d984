"""The hotline up to 2024-08-13: the first thing a reader of any node sees."""

from datetime import date

import numpy as np
import polars as pl

from simulator.books import BOOK_COLUMNS, FIRST_NIGHT, Frames, Night, NightPlan, day_of
from simulator.fleet import all_nodes
from simulator.habits import DAY, time_text
from simulator.hotline.orders import NEVER, Orders, callback_frame, city_nodes, live, order_days, order_frame
from simulator.hotline.people import people, sizes
from simulator.hotline.schema import CALLBACK, HOTLINE, WORK_ORDER
from simulator.source import Context
from simulator.versions import FUTURE_CURSOR, IMPOSSIBLE_TIME, booked, broken

ORDERS_AT_SCALE_1, CALLBACKS_AT_SCALE_1 = 500_000, 350_000
FIRST_DAY = day_of(date(2023, 1, 1))
LAST = day_of(FIRST_NIGHT)
NOW = (LAST + 1) * DAY - 1
LATE_NIGHTS = 3


def history(context: Context) -> Night:
    """Everything before and at the first night; a few orders come in the nights after it, behind their callbacks."""
    rng = context.rng("history")
    count = max(int(ORDERS_AT_SCALE_1 * context.scale), 400)
    orders = live(rng, city_nodes(rng, context.fleet, count), order_days(rng, FIRST_DAY, LAST, count))
    called = _called(rng, orders, int(CALLBACKS_AT_SCALE_1 * count / ORDERS_AT_SCALE_1))
    rated = rng.random(count) < 0.8
    whole = booked(order_frame(rng, context.seed, orders, NOW, called, rated), WORK_ORDER, FIRST_NIGHT)
    callbacks = _callbacks(rng, orders, called, rated)

    with_callback = np.flatnonzero((called < NEVER) & (orders.accepted > (LAST - 250) * DAY))
    chosen = rng.permutation(with_callback)
    late = chosen[: max(2 * LATE_NIGHTS, count // 5000)]
    never = chosen[len(late) : len(late) + max(4, count // 10_000)]
    kept = np.ones(count, dtype=np.bool_)
    kept[late] = kept[never] = False
    frames: Frames = {
        **people(context),
        "work_order": _some_deleted(rng, whole.filter(pl.Series(kept)), 0.001),
        "callback": _some_deleted(rng, callbacks, 0.0005),
    }
    for table in (WORK_ORDER, CALLBACK):
        good = frames[table.dataset]
        bad = bad_rows(context, rng, good, table.dataset, max(8, int(good.height * 0.0005)), first_serial=1)
        frames[table.dataset] = pl.concat([good, bad])
    pending = {"work_order": _late(rng, whole[np.sort(late)])}
    experts, _ = sizes(context)
    counters = {"expert": experts, "session": frames["expert_session"].height}
    return Night(frames, pending, {}, NightPlan(), counters)


def _called(rng: np.random.Generator, orders: Orders, wanted: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """When callers of closed orders were called back, for ``wanted`` of them, a few of which count twice."""
    count = len(orders)
    when = orders.closed + rng.integers(6 * 3600, 4 * DAY, count)
    when = when // DAY * DAY + rng.integers(8 * 3600, 20 * 3600, count)
    when = np.maximum(when, orders.closed + 600)
    able = np.flatnonzero(when <= NOW - 4 * 3600)
    chosen = rng.permutation(able)[: round(wanted / 1.03)]
    called = np.full(count, NEVER)
    called[chosen] = when[chosen]
    return called


def _callbacks(rng: np.random.Generator, orders: Orders, called: np.ndarray, rated: np.ndarray) -> pl.DataFrame:
    """First callbacks, and second ones two days after some of them."""
    first = np.flatnonzero(called < NEVER)
    again = first[called[first] < NOW - 3 * DAY]
    again = np.sort(rng.permutation(again)[: int(len(first) * 0.03)])
    one = callback_frame(
        rng, orders.number.gather(pl.Series(first)), orders.node[first], called[first], rated[first], NOW
    )
    two = callback_frame(
        rng, orders.number.gather(pl.Series(again)), orders.node[again], called[again] + 2 * DAY, rated[again], NOW, 2
    )
    return booked(pl.concat([one, two]), CALLBACK, FIRST_NIGHT)


def _some_deleted(rng: np.random.Generator, frame: pl.DataFrame, share: float) -> pl.DataFrame:
    """Some records are deleted by now. The first ones of all stay."""
    table = HOTLINE.table("work_order" if "CONTENT" in frame.columns else "callback")
    gone = rng.random(frame.height) < share
    gone[-1] = True
    marked = frame.with_columns(
        _deleted=pl.Series(gone), _kind=pl.when(pl.Series(gone)).then(pl.lit("tombstone")).otherwise("_kind")
    )
    return booked(marked, table, FIRST_NIGHT)


def _late(rng: np.random.Generator, frame: pl.DataFrame) -> pl.DataFrame:
    """Orders that come one, two or three nights after the first one."""
    due = LAST + 1 + np.arange(frame.height) % LATE_NIGHTS
    return frame.with_columns(
        DATA_TIMESTAMP=time_text(due * DAY + rng.integers(9 * 3600, 23 * 3600, frame.height)),
        _kind=pl.lit("late_parent"),
        _due=pl.Series(due, dtype=pl.Int32),
    )


def bad_rows(
    context: Context, rng: np.random.Generator, good: pl.DataFrame, dataset: str, count: int, first_serial: int
) -> pl.DataFrame:
    """Orders or callbacks that break the contract, with numbers of their own (year 99), one per city at first."""
    table = HOTLINE.table(dataset)
    able = good.filter(~pl.col("_deleted") & pl.col("_bad").is_null())
    able = able[rng.permutation(able.height)]
    models = able.with_columns(_turn=pl.int_range(pl.len()).over("_node")).sort("_turn", maintain_order=True)[:count]
    codes = [node.code for node in all_nodes()]
    cities = [node.code for node in all_nodes() if node.level == "city"]
    changes = []
    for i, index in enumerate(models["_node"]):
        serial = first_serial + i
        reason = ("impossible_date", "missing_key", "future_cursor", "foreign_region", "bad_code")[serial % 5]
        city = codes[index]
        if reason == "foreign_region":
            city = next(code for code in cities[serial % 7 :] if code != city)
        number = f"{city}99{serial:010d}"
        change: dict[str, str | None] = {"ORDER_NO": number, "_bad": reason}
        if dataset == "callback":
            change["CALLBACK_ID"] = f"{number}C1"
        if reason == "impossible_date":
            change[table.event] = IMPOSSIBLE_TIME
        elif reason == "missing_key":
            change[table.key[0]] = None
        elif reason == "future_cursor":
            change[table.cursor] = FUTURE_CURSOR
        elif reason == "bad_code":
            change["IS_SOLVED" if dataset == "callback" else "CLASS_CODE"] = "是" if dataset == "callback" else "市容"
        changes.append(change)
    return broken(models.select(*table.columns, *BOOK_COLUMNS), table, changes)
