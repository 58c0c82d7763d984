"""The history of trading up to 2024-08-13: the first thing a reader of any node sees."""

from collections import Counter
from dataclasses import asdict
from datetime import date

import numpy as np
import polars as pl

from simulator.books import BOOK_COLUMNS, FIRST_NIGHT, Frames, Night, NightPlan, day_of, number_of
from simulator.fleet import Fleet, all_nodes
from simulator.habits import DAY, HELD_ABOVE_MILLI, amount_text, false_flag, time_text, true_flag
from simulator.trading.broken import broken_copies
from simulator.trading.cohort import Arrivals, Numbers, Seeds, cohort, pick_types
from simulator.trading.schema import TRADING
from simulator.trading.suspicious import with_suspicious_lots
from simulator.trading.world import World

PROJECTS_AT_SCALE_1 = 75_000
START = day_of(date(2020, 1, 1))
SETTLED = day_of(date(2023, 10, 31))
LAST = day_of(FIRST_NIGHT)
BAD_SHARE = 0.0005
BAD_AT_LEAST = 28
DELETED_SHARE = {"notice": 0.006}
LATE_NIGHTS = 3


def forced_projects(fleet: Fleet) -> int:
    """The first projects of a province, which make every node, type and trap occur and are never deleted."""
    return len(fleet.nodes) + 38 + 10


def history(world: World, fleet: Fleet, scale: float) -> Night:
    """Everything before and at the first night, and what it has set going for later nights."""
    seeds = _seeds(world, fleet, scale)
    exempt = forced_projects(fleet)
    arrivals = Arrivals(late=0.004, never=0.002, at_least=4, exempt=exempt)
    frames, numbers = cohort(world, world.rng("history"), seeds, Numbers(), arrivals)
    frames = with_suspicious_lots(world, _hold_back_parents(world, frames, exempt), exempt, LAST)
    delivered, pending = {}, {}
    for table in TRADING.tables:
        frame = frames.pop(table.dataset)
        pending[table.dataset] = frame.filter(pl.col("_due") > LAST)
        now = as_book(frame.filter(pl.col("_due") <= LAST), FIRST_NIGHT)
        now = _delete_some(world, now, table.dataset, exempt)
        delivered[table.dataset] = pl.concat([now, *_repeated(world, now, table.dataset)])
    for dataset, bad in _bad(world, delivered).items():
        delivered[dataset] = pl.concat([delivered[dataset], bad])
    return Night(delivered, pending, {}, NightPlan(), asdict(numbers))


def as_book(frame: pl.DataFrame, night: date) -> pl.DataFrame:
    """Give the rows of a cohort the remaining columns of the books."""
    number = number_of(night)
    return frame.drop("_due", strict=False).with_columns(
        _deleted=pl.lit(value=False),
        _bad=pl.lit(None, dtype=pl.String),
        _night=pl.lit(number, dtype=pl.Int32),
        _period=pl.lit(number, dtype=pl.Int32),
        _rev=pl.lit(1, dtype=pl.Int8),
    ).select(pl.exclude(*BOOK_COLUMNS), *(pl.col(name).cast(kind) for name, kind in BOOK_COLUMNS.items()))  # fmt: skip


def _seeds(world: World, fleet: Fleet, scale: float) -> Seeds:
    rng = world.rng("seeds")
    forced = forced_projects(fleet)
    count = max(int(PROJECTS_AT_SCALE_1 * scale), forced + 20)
    members = np.array(fleet.indexes)
    share = world.node_weight[members] / world.node_weight[members].sum()
    node = rng.choice(members, count, p=share)
    node[: len(members)] = members
    day = rng.integers(START, LAST + 1, count)
    day[:forced] = rng.integers(START, SETTLED, forced)
    kind = pick_types(world, rng, node)
    unknown = rng.random(count) < 0.001
    held = np.zeros(count, dtype=np.int64)
    unknown[:forced] = False

    place = len(members)
    traded = np.diff(world.type_cdf, axis=1, prepend=0)[members] > 0
    for number in range(38):
        able = members[traded[:, number]]
        node[place + number] = rng.choice(able, p=world.node_weight[able] / world.node_weight[able].sum())
        kind[place + number] = number
    place += 38

    types = {code: number for number, code in enumerate(world.type_code)}
    nodes = all_nodes()
    anshan = [i for i in members if nodes[i].city == "210300"]
    dalian = [i for i in members if nodes[i].city == "210200"]
    change = day_of(date(2023, 1, 1))
    special = (
        (dalian, "0506", START, SETTLED), (dalian, "0506", START, SETTLED),
        (anshan, "0105", START, change - 60), (anshan, "0105", change, SETTLED), (anshan, "0106", change, SETTLED),
    )  # fmt: skip
    for offset, (where, code, first, last) in enumerate(special):
        node[place + offset] = rng.choice(where)
        kind[place + offset] = types[code]
        day[place + offset] = rng.integers(first, last)
    place += len(special)
    unknown[place : place + 2] = True
    held[place + 2 : place + 5] = (1, 1, 2)
    return Seeds(day=day, node=node.astype(np.int64), kind=kind, unknown=unknown, held=held)


def _hold_back_parents(world: World, frames: Frames, exempt: int) -> Frames:
    """A few old projects and lots arrive in the first nights to come, long after their children."""
    rng = world.rng("late parents")
    changed = dict(frames)
    for dataset, spare in (("project", 0), ("lot", 1)):
        frame = frames[dataset]
        candidates = np.flatnonzero(((frame["_p"] > exempt) & (frame["_due"] < LAST - 200)).to_numpy())
        count = max(LATE_NIGHTS, int(frame.height * 0.0002))
        chosen = rng.permutation(candidates)[spare * count : (spare + 1) * count]
        due = frame["_due"].to_numpy().copy()
        due[chosen] = LAST + 1 + np.arange(len(chosen)) % LATE_NIGHTS
        stamp = due.astype(np.int64) * DAY + rng.integers(9 * 3600, 23 * 3600, frame.height)
        mask = np.zeros(frame.height, dtype=np.bool_)
        mask[chosen] = True
        is_late = pl.lit(pl.Series(mask))
        changed[dataset] = frame.with_columns(
            _due=pl.Series(due, dtype=pl.Int32),
            DATA_TIMESTAMP=pl.when(is_late).then(pl.lit(time_text(stamp))).otherwise("DATA_TIMESTAMP"),
            _kind=pl.when(is_late).then(pl.lit("late_parent")).otherwise("_kind"),
        )
    return changed


def _delete_some(world: World, frame: pl.DataFrame, dataset: str, exempt: int) -> pl.DataFrame:
    """Withdrawn notices and soft-deleted records of the past."""
    rng = world.rng("deleted", dataset)
    able = np.flatnonzero((frame["_p"] > exempt).to_numpy())
    chosen = rng.permutation(able)[: max(2, int(frame.height * DELETED_SHARE.get(dataset, 0.002)))]
    if dataset == "notice":
        first = (frame["BULLETIN_TYPE"] == "1") & (frame["NOTICE_NATURE"] == "1") & (frame["_p"] > exempt)
        chosen = np.union1d(chosen, rng.permutation(np.flatnonzero(first.to_numpy()))[:2])
    mask = np.zeros(frame.height, dtype=np.bool_)
    mask[chosen] = True
    gone = pl.lit(pl.Series(mask))
    return frame.with_columns(
        _deleted=gone,
        IS_DELETE=pl.when(gone).then(true_flag()).otherwise("IS_DELETE"),
        _kind=pl.when(gone).then(pl.lit("tombstone")).otherwise("_kind"),
    )


def _repeated(world: World, frame: pl.DataFrame, dataset: str) -> list[pl.DataFrame]:
    """File counties send some rows twice, and an older version of some after the present one."""
    rng = world.rng("repeated", dataset)
    sends = pl.Series([node.sends_files for node in all_nodes()])
    able = np.flatnonzero(sends.gather(frame["_node"]).to_numpy())
    count = min(max(2, int(len(able) * 0.002)), len(able) // 2)
    chosen = rng.permutation(able)[: 2 * count]
    copies = frame[chosen[:count]].with_columns(_kind=pl.lit("copy"))
    older = earlier_version(frame[chosen[count:]], dataset, 3 * DAY).with_columns(_kind=pl.lit("older"))
    return [copies, older]


def earlier_version(frame: pl.DataFrame, dataset: str, seconds: int) -> pl.DataFrame:
    """What the rows were ``seconds`` before: another amount, an earlier cursor, alive."""
    table = TRADING.table(dataset)
    before = (
        pl.col("DATA_TIMESTAMP").str.to_datetime("%Y%m%d%H%M%S") - pl.duration(seconds=seconds)
    ).dt.strftime("%Y%m%d%H%M%S")  # fmt: skip
    frame = frame.with_columns(DATA_TIMESTAMP=before, _deleted=pl.lit(value=False), IS_DELETE=false_flag())
    return reprice(frame, pl.col("_milli") // 100 * 110) if table.price else frame


def reprice(frame: pl.DataFrame, milli: pl.Expr) -> pl.DataFrame:
    """Give priced rows another amount (whole cents), written as each row writes it."""
    price = next(t.price for t in TRADING.tables if t.price in frame.columns)
    held = pl.col("_milli") > HELD_ABOVE_MILLI
    amount = pl.when(held).then(pl.col("_milli") + 1_000_000_000).otherwise(milli // 10 * 10)
    return frame.with_columns(_milli=pl.when(pl.col("_milli").is_not_null()).then(amount)).with_columns(
        amount_text(pl.col("_milli"), pl.col("PRICE_UNIT") == "1").alias(str(price))
    )


def _bad(world: World, delivered: Frames) -> Frames:
    """Contract-breaking rows, spread over (node, dataset) pairs."""
    total = sum(frame.height for frame in delivered.values())
    return spread_bad(world.rng("bad"), delivered, max(BAD_AT_LEAST, int(total * BAD_SHARE)), first_serial=1)


def spread_bad(rng: np.random.Generator, delivered: Frames, count: int, first_serial: int) -> Frames:
    """``count`` broken records modelled on rows of ``delivered``: at first one per node and dataset."""
    pairs = pl.concat(
        [
            frame.with_row_index("row").filter(pl.col("_bad").is_null() & ~pl.col("_deleted") & (pl.col("_rev") == 1))
            .select(pl.col("row").cast(pl.Int64), "_node", dataset=pl.lit(dataset))
            for dataset, frame in delivered.items()
        ]
    )  # fmt: skip
    shuffled = pairs[rng.permutation(pairs.height)]
    spread = shuffled.with_columns(turn=pl.int_range(pl.len()).over("_node", "dataset"))
    chosen = spread.sort("turn", maintain_order=True).head(count)
    found: Frames = {}
    serial, used = first_serial, Counter[str]()
    for (dataset,), part in chosen.group_by("dataset", maintain_order=True):
        models = delivered[str(dataset)][part["row"].to_list()]
        found[str(dataset)] = broken_copies(rng, TRADING.table(str(dataset)), models, serial, used)
        serial += models.height
    return found
