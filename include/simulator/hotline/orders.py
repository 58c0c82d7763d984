"""Work orders and their callbacks as whole columns: how an order lives, and what of it is known at a moment."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from simulator.fleet import Fleet, all_nodes
from simulator.habits import DAY, Bools, Ints, flag_text, time_text
from simulator.hotline.words import (
    CLASS_SHARE,
    CLASSES,
    SENTENCES_PER_CLASS,
    UNKNOWN_STATUS,
    callers,
    handlers,
    phones,
    sentences,
    status_words,
)
from simulator.trading.world import CITY_WEIGHT
from simulator.versions import time_or_null

CLASS_DAYS = np.array([7, 5, 7, 5, 5, 5, 7, 3, 10, 7, 3, 5])
NEVER = np.int64(2**40)
WITHDRAWN = 7
UNKNOWN_CLASS, UNKNOWN_DIVISION = "9901", "99"
MANY = 400


@dataclass(frozen=True)
class Orders:
    """Orders with all that will happen to them; times in seconds since 1970, ``NEVER`` for what does not happen."""

    number: pl.Series
    node: Ints
    kind: Ints
    accepted: Ints
    dispatched: Ints
    due: Ints
    contacted: Ints
    replied: Ints
    closed: Ints
    withdrawn: Ints

    def __len__(self) -> int:
        return len(self.node)


def order_days(rng: np.random.Generator, first: int, last: int, count: int) -> Ints:
    """Days on which people call: fewer at weekends, a little more every month."""
    days = np.arange(first, last + 1)
    weekday = (days + 3) % 7
    weights = np.where(weekday >= 5, 0.55, 1.0) * (1 + 0.25 * (days - first) / max(last - first, 1))
    return rng.choice(days, count, p=weights / weights.sum()).astype(np.int64)


def city_nodes(rng: np.random.Generator, fleet: Fleet, count: int) -> Ints:
    """A city for each order; each has some when there are enough."""
    cities = np.array([node.index for node in fleet.nodes if node.level == "city"])
    weight = np.array([CITY_WEIGHT.get(all_nodes()[index].code, 0.9) for index in cities])
    node = rng.choice(cities, count, p=weight / weight.sum()).astype(np.int64)
    node[: min(len(cities), count)] = cities[:count]
    return node


def live(rng: np.random.Generator, node: Ints, day: Ints) -> Orders:
    """Orders of these nodes and days, sorted by number."""
    count = len(node)
    second = np.clip(rng.normal(13.5, 3.6, count) * 3600, 6 * 3600, 22 * 3600 + 3599).astype(np.int64)
    accepted = day * DAY + second
    order = np.lexsort((accepted, node))
    node, accepted = node[order], accepted[order]
    group = node * 100_000 + accepted // DAY
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    sequence = np.arange(count) - np.repeat(starts, np.diff(np.r_[starts, count])) + 1
    kind = rng.choice(len(CLASSES), count, p=np.array(CLASS_SHARE) / sum(CLASS_SHARE))
    quality = 1 + (node % 7) * 0.07
    dispatched = accepted + rng.integers(180, 7 * 3600, count)
    contacted = dispatched + (np.exp(rng.normal(10.6, 0.9, count)) * quality).astype(np.int64)
    replied = contacted + (np.exp(rng.normal(11.6, 0.9, count)) * quality).astype(np.int64)
    closed = replied + (np.exp(rng.normal(10.9, 0.8, count)) * quality).astype(np.int64)
    closed = np.where(rng.random(count) < 0.004, NEVER, closed)
    withdrawn = np.where(rng.random(count) < 0.015, dispatched + rng.integers(600, DAY, count), NEVER)
    gone = withdrawn < NEVER
    codes = pl.Series([n.code for n in all_nodes()])
    days = pl.Series(time_text(accepted).str.slice(0, 8))
    return Orders(
        number=pl.select(
            pl.concat_str(codes.gather(pl.Series(node)), days, pl.Series(sequence).cast(pl.String).str.zfill(4))
        ).to_series(),
        node=node,
        kind=kind,
        accepted=accepted,
        dispatched=dispatched,
        due=dispatched + CLASS_DAYS[kind] * DAY,
        contacted=np.where(gone, NEVER, contacted),
        replied=np.where(gone, NEVER, replied),
        closed=np.where(gone, NEVER, closed),
        withdrawn=withdrawn,
    )


def order_frame(
    rng: np.random.Generator, seed: int, orders: Orders, now: int, called: Ints, rated: Bools
) -> pl.DataFrame:
    """What is known of orders at ``now``: national columns, and _p, _node and _type.

    ``called``: when the caller was called back (``NEVER``: not yet); ``rated``: whether the caller gave a mark.
    """
    count = len(orders)
    steps = (orders.dispatched, orders.contacted, orders.replied, orders.closed, called)
    status = np.zeros(count, dtype=np.int64)
    for moment in steps:
        status += moment <= now
    status = np.where((status == 5) & rated, 6, status)
    status = np.where(orders.withdrawn <= now, WITHDRAWN, status)
    status = np.where(_suspended(rng, orders.node, status), UNKNOWN_STATUS, status)
    last = orders.accepted.copy()
    for moment in (*steps, orders.withdrawn):
        last = np.where(moment <= now, np.maximum(last, moment), last)
    stamp = np.minimum(last + rng.integers(60, 5400, count), now - rng.integers(60, 3000, count))
    unknown_class = rng.random(count) < 0.0005
    unknown_class[rng.integers(0, count)] = True
    class_code = np.char.add(
        np.char.zfill((orders.kind + 1).astype(str), 2), np.char.zfill(rng.integers(1, 7, count).astype(str), 2)
    )
    class_code = np.where(unknown_class, UNKNOWN_CLASS, class_code)
    division = _divisions(rng, orders.node)
    unknown_division = rng.random(count) < 0.0003
    unknown_division[rng.integers(0, count)] = True
    codes = np.array([n.code for n in all_nodes()])
    city = np.array([code[:4] for code in codes])
    division_code = np.where(unknown_division, np.char.add(city[orders.node], UNKNOWN_DIVISION), codes[division])
    anonymous = pl.Series(rng.random(count) < 0.03)
    caller = pl.Series(rng.integers(0, callers(seed).len(), count))
    sentence = orders.kind * SENTENCES_PER_CLASS + rng.integers(0, SENTENCES_PER_CLASS, count)
    dispatched = orders.dispatched <= now
    closed = np.where(_mistaken(rng, orders.closed <= now), orders.accepted - 7200, orders.closed)
    return pl.DataFrame(
        {
            "ORDER_NO": orders.number,
            "CLASS_CODE": pl.Series(class_code),
            "CHANNEL_CODE": pl.Series(np.array(["1", "2", "3", "4"])[_channels(rng, count)]),
            "CONTENT": sentences(seed).gather(pl.Series(sentence)),
            "CALLER_NAME": pl.select(pl.when(~anonymous).then(pl.lit(callers(seed).gather(caller)))).to_series(),
            "CALLER_PHONE": pl.select(pl.when(~anonymous).then(pl.lit(phones(rng, count)))).to_series(),
            "DIVISION_CODE": pl.Series(division_code),
            "DEPT_NAME": handlers().gather(pl.Series(division * len(CLASSES) + orders.kind)),
            "ACCEPT_TIME": time_text(orders.accepted),
            "DISPATCH_TIME": time_or_null(orders.dispatched, dispatched),
            "DUE_TIME": time_or_null(orders.due, dispatched),
            "FIRST_CONTACT_TIME": time_or_null(orders.contacted, orders.contacted <= now),
            "CLOSE_TIME": time_or_null(closed, orders.closed <= now),
            "STATUS_NAME": status_words().gather(pl.Series(orders.node * (UNKNOWN_STATUS + 1) + status)),
            "DATA_TIMESTAMP": time_text(stamp),
            "_node": pl.Series(orders.node),
            "_type": pl.Series(class_code).str.slice(0, 2),
        }
    )


def callback_frame(
    rng: np.random.Generator, number: pl.Series, node: Ints, called: Ints, rated: Bools, now: int, turn: int = 1
) -> pl.DataFrame:
    """The callbacks of orders; the caller says whether it is solved and, when ``rated``, gives a mark."""
    count = len(node)
    solved = rng.random(count) < 0.96 - (node % 5) * 0.02
    mark = np.where(
        solved, rng.choice([1, 2, 3], count, p=[0.66, 0.28, 0.06]), rng.choice([2, 3, 4], count, p=[0.1, 0.3, 0.6])
    )
    text = pl.Series(mark).cast(pl.String)
    reason = pl.Series(rng.integers(1, 6, count)).cast(pl.String)
    return pl.DataFrame(
        {
            "CALLBACK_ID": number + f"C{turn}",
            "ORDER_NO": number,
            "CALLBACK_TIME": time_text(called),
            "IS_SOLVED": flag_text(solved, node),
            "SATISFACTION_CODE": pl.select(pl.when(pl.lit(pl.Series(rated))).then(pl.lit(text))).to_series(),
            "REASON_CODE": pl.select(
                pl.when(pl.lit(pl.Series(~solved | (rated & (mark == 4))))).then(pl.lit(reason))
            ).to_series(),
            "DATA_TIMESTAMP": time_text(
                np.minimum(called + rng.integers(60, 5400, count), now - rng.integers(60, 3000, count))
            ),
            "_node": pl.Series(node),
        }
    )


def _suspended(rng: np.random.Generator, node: Ints, status: Ints) -> Bools:
    """One city now and then writes a status that is in no list."""
    anshan = next(n.index for n in all_nodes() if n.code == "210300")
    able = (node == anshan) & ((status == 1) | (status == 2))
    found: Bools = able & (rng.random(len(node)) < 0.03)
    if len(node) >= MANY:
        found[np.flatnonzero(able)[:1]] = True
    return found


def _mistaken(rng: np.random.Generator, closed: Bools) -> Bools:
    """Which closed orders say that they were closed before they were accepted."""
    found: Bools = closed & (rng.random(len(closed)) < 0.0001)
    if len(closed) >= MANY:
        found[np.flatnonzero(closed)[:1]] = True
    return found


def _channels(rng: np.random.Generator, count: int) -> Ints:
    return rng.choice(4, count, p=[0.72, 0.12, 0.07, 0.09])


def _divisions(rng: np.random.Generator, node: Ints) -> Ints:
    """Where it happened, as node indexes: a county of the city, sometimes the city."""
    found = np.array(node)
    nodes = all_nodes()
    for city in np.unique(node):
        mine = np.flatnonzero(node == city)
        inside = [n.index for n in nodes if n.parent == nodes[city].code]
        found[mine] = rng.choice([int(city), *inside], len(mine), p=[0.06, *([0.94 / len(inside)] * len(inside))])
    return found
