"""What changes in one night of trading: new records, corrections, withdrawals, deletions, re-sent and late ones.

A record gets at most one ordinary change a night. Cursors lie in the business date, apart from a few records on
PostgreSQL and API nodes whose cursor lies up to 90 minutes before the greatest one the node had shown before: a reader
that overlaps its windows by two hours sees them.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from functools import partial

import numpy as np
import polars as pl

from simulator.books import Books, Frames, Night, day_of, no_rows
from simulator.drops import in_drops, repeated_in_drops, revised_tonight
from simulator.fleet import Fleet, all_nodes
from simulator.habits import DAY, event_text
from simulator.tables import Table
from simulator.trading.cohort import Arrivals, Numbers, Seeds, cohort, pick_types
from simulator.trading.history import as_book, earlier_version, forced_projects, reprice, spread_bad
from simulator.trading.schema import TRADING
from simulator.trading.world import World
from simulator.versions import touched, with_late_cursors

NEW_PROJECTS = 0.0006
SHARES = {"correction": 0.0012, "resent": 0.0006, "tombstone": 0.0002, "revived": 0.00003}
AT_LEAST = {"correction": 5, "resent": 3, "tombstone": 1, "revived": 1}
BAD_SHARE, BAD_AT_LEAST = 0.0005, 3
LATE_CURSORS = 0.01


def next_night(world: World, fleet: Fleet, books: Books, night: date) -> Night:
    """All that happens in ``night``, given the books up to the night before."""
    rng = world.rng("night", night.isoformat())
    numbers = Numbers(**books.meta.counters[TRADING.name])
    fresh, pending, numbers = _new_projects(world, fleet, books, rng, night, numbers)
    revised = revised_tonight(books, fleet, rng, night)
    delivered: Frames = {}
    for table in TRADING.tables:
        latest = books.latest(table.dataset)
        due = books.pending(table.dataset, day_of(night))
        fresh_rows = as_book(pl.concat([due, fresh[table.dataset]]), night)
        new = with_late_cursors(books, rng, fleet, table, fresh_rows, LATE_CURSORS)
        changed = _changes(fleet, books, rng, table, _changeable(latest, table.dataset, revised, fleet), night)
        delivered[table.dataset] = pl.concat([new, *changed])
    bad_rows = max(BAD_AT_LEAST, int(sum(f.height for f in delivered.values()) * BAD_SHARE))
    serial = 10_000_000 + (day_of(night) - day_of(date(2024, 8, 1))) * 10_000
    models = {d: f.filter(pl.col("_kind") == "new") for d, f in delivered.items()}
    for dataset, bad in spread_bad(rng, models, bad_rows, serial).items():
        delivered[dataset] = pl.concat([delivered[dataset], bad])
    delivered = {
        dataset: repeated_in_drops(fleet, frame, partial(earlier_version, dataset=dataset, seconds=3600))
        for dataset, frame in delivered.items()
    }
    sent = in_drops(books, fleet, rng, night, delivered, revised, _correct)
    return Night(sent.delivered, pending, sent.held, sent.plan, asdict(numbers))


def _new_projects(
    world: World, fleet: Fleet, books: Books, rng: np.random.Generator, night: date, numbers: Numbers
) -> tuple[Frames, Frames, Numbers]:
    """Projects of today: at least one at the province and two at nodes of each connector kind."""
    members = np.array(fleet.indexes)
    some = [0]
    for connector in ("postgres", "http", "csv", "xlsx", "xml"):
        able = [node.index for node in fleet.of(connector)]
        # both at one file county: its drop then has more than one record, so that it can be revised tomorrow
        some += rng.choice(able, 2).tolist() if connector in ("postgres", "http") else [int(rng.choice(able))] * 2
    count = max(len(some), int(NEW_PROJECTS * 75_000 * books.meta.scale))
    share = world.node_weight[members] / world.node_weight[members].sum()
    node = np.concatenate([some, rng.choice(members, count - len(some), p=share)]).astype(np.int64)
    seeds = Seeds(
        day=np.full(count, day_of(night)),
        node=node,
        kind=pick_types(world, rng, node),
        unknown=rng.random(count) < 0.02,
        held=np.where(rng.random(count) < 0.02, 1, 0),
    )
    frames, after = cohort(world, rng, seeds, numbers, Arrivals(late=0.1, never=0.02, at_least=2))
    today = pl.col("_due") <= day_of(night)
    return {d: f.filter(today) for d, f in frames.items()}, {d: f.filter(~today) for d, f in frames.items()}, after


def _changeable(
    latest: pl.DataFrame, dataset: str, revised: Sequence[tuple[int, str, int]], fleet: Fleet
) -> pl.DataFrame:
    """Records that may change tonight: not those whose drop is being revised."""
    busy = [node for node, name, _ in revised if name == dataset]
    connector = pl.Series([node.connector for node in all_nodes()])
    return latest.filter(~pl.col("_node").is_in(busy)).with_columns(
        _connector=connector.gather(latest.filter(~pl.col("_node").is_in(busy))["_node"])
    )


def _changes(
    fleet: Fleet, books: Books, rng: np.random.Generator, table: Table, latest: pl.DataFrame, night: date
) -> list[pl.DataFrame]:
    """Corrections, re-sent records, deletions and restored ones, in this order."""
    live = latest.filter(~pl.col("_deleted"))
    live = live[rng.permutation(live.height)]
    # one of each connector kind first, so that each kind of change meets each kind of source
    live = live.with_columns(_turn=pl.int_range(pl.len()).over("_connector") // 4).sort("_turn", maintain_order=True)
    sizes = {kind: min(max(AT_LEAST[kind], int(live.height * SHARES[kind])), live.height // 4) for kind in SHARES}
    cut = np.cumsum([0, sizes["correction"], sizes["resent"]])
    corrected = _touch(books, rng, table, live[cut[0] : cut[1]], night, "correction")
    resent = _touch(books, rng, table, live[cut[1] : cut[2]], night, "resent")
    ordinary = live[cut[2] :].filter(pl.col("_p") > forced_projects(fleet))
    gone = ordinary[: sizes["tombstone"] * (2 if table.dataset == "notice" else 1)]
    if table.dataset == "notice":
        gone = pl.concat([gone, _first_notice(books, ordinary[gone.height :])])
    dead = latest.filter(pl.col("_deleted"))
    dead = dead[rng.permutation(dead.height)][: sizes["revived"]].with_columns(_turn=pl.lit(0, dtype=pl.Int64))
    return [
        _correct(rng, table, corrected),
        resent,
        _touch(books, rng, table, gone, night, "tombstone", deleted=True),
        _touch(books, rng, table, dead, night, "revived", deleted=False),
    ]


def _first_notice(books: Books, candidates: pl.DataFrame) -> pl.DataFrame:
    """One notice that opens a trade, so that a lot with no other first notice counts as withdrawn."""
    sample = candidates[:200]
    whole = books.rows("notice", sample)
    first = ((whole["BULLETIN_TYPE"] == "1") & (whole["NOTICE_NATURE"] == "1")).arg_true()
    return sample[first[:1].to_list()]


def _touch(
    books: Books, rng: np.random.Generator, table: Table, picks: pl.DataFrame, night: date, kind: str,
    *, deleted: bool | None = None,
) -> pl.DataFrame:  # fmt: skip
    """The picked versions as whole rows, with a cursor of today."""
    if picks.is_empty():
        return no_rows(table)
    return touched(rng, table, books.rows(table.dataset, picks), night, kind, deleted=deleted)


def _correct(rng: np.random.Generator, table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """Change what people correct. Lots take turns: amount, region, month, all three."""
    if frame.is_empty():
        return frame
    if table.dataset == "lot":
        turn = pl.int_range(pl.len()) % 4
        moved = frame.with_columns(
            _turn=turn,
            _other=_another_region(rng, frame),
            _earlier=_another_month(rng, table, frame),
        )
        repriced = reprice(moved, pl.col("_milli") // 100 * 93)
        return (
            pl.concat([moved.filter(~pl.col("_turn").is_in([0, 3])), repriced.filter(pl.col("_turn").is_in([0, 3]))])
            .with_columns(
                REGION_CODE=pl.when(pl.col("_turn").is_in([1, 3])).then("_other").otherwise("REGION_CODE"),
                CREATE_TIME=pl.when(pl.col("_turn").is_in([2, 3])).then("_earlier").otherwise("CREATE_TIME"),
            )
            .drop("_turn", "_other", "_earlier")
        )
    if table.price:
        return reprice(frame, pl.col("_milli") // 100 * 104)
    if table.dataset == "notice":
        return frame.with_columns(NOTICE_NAME=pl.col("NOTICE_NAME") + "（更正）")
    return frame.with_columns(TENDER_PROJECT_NAME=pl.col("TENDER_PROJECT_NAME") + "（更名）")


def _another_region(rng: np.random.Generator, frame: pl.DataFrame) -> pl.Series:
    """Another division of the same city, so that its deal codes keep their meaning; at the province any city."""
    nodes = all_nodes()
    found = []
    for index, present in zip(frame["_node"], frame["REGION_CODE"], strict=True):
        node = nodes[index]
        if node.level == "province":
            others = [n.code for n in nodes if n.level == "city" and n.code not in ("210200", "210300", present)]
        else:
            others = [n.code for n in nodes if n.city == node.city and n.code != present]
        found.append(others[int(rng.integers(0, len(others)))])
    return pl.Series(found)


def _another_month(rng: np.random.Generator, table: Table, frame: pl.DataFrame) -> pl.Series:
    """40 to 90 days earlier than now said, written as the node writes dates."""
    day = frame[table.event].str.slice(0, 8).str.to_date("%Y%m%d").cast(pl.Int32).to_numpy().astype(np.int64)
    seconds = (day - rng.integers(40, 91, frame.height)) * DAY + 10 * 3600
    return event_text(seconds, frame["_node"].to_numpy().astype(np.int64))
