"""The life of new projects: lots, notices, bids, results, contracts, performance, each with the time it happens.

A cohort holds everything that will ever happen to its projects; what lies after the night it is made for waits in the
books until its own night. Every frame has the national columns as text and these columns of the books:

``_p`` project number, ``_node`` node index, ``_type`` transaction type, ``_milli`` amount in thousandths of a yuan
(null: no amount), ``_due`` day (since 1970) on which the source says it, ``_kind`` why the row is there.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from simulator.codes import with_mod_37_2
from simulator.fleet import all_nodes
from simulator.habits import DAY, Bools, Ints, event_text, price_units
from simulator.trading import schema
from simulator.trading.rows import Lots, Projects, book_frame, lag, office_hours, rounded, unless
from simulator.trading.stages import bids, notices, outcomes
from simulator.trading.world import DEPARTMENTS, RURAL_TENDERERS, TENDERERS_PER_NODE, World

Frames = dict[str, pl.DataFrame]

A06_CHANGES = int(np.datetime64("2023-01-01").astype("datetime64[D]").astype(np.int64))
MEDIAN_YUAN = {
    "01": 9e6,
    "02": 8e5,
    "03": 3e7,
    "04": 2e7,
    "05": 3e6,
    "06": 2e5,
    "07": 5e5,
    "08": 4e6,
    "09": 1e6,
    "10": 2e6,
}


@dataclass(frozen=True)
class Numbers:
    """The next free running numbers of the province."""

    project: int = 1
    code: int = 1
    notice: int = 1


@dataclass(frozen=True)
class Seeds:
    """What a cohort starts from, one entry per project.

    ``unknown``: the project is coded Z99. ``held``: 1 an amount over 3 billion yuan, 2 exactly 3 billion.
    """

    day: Ints
    node: Ints
    kind: Ints
    unknown: Bools
    held: Ints

    def __len__(self) -> int:
        return len(self.day)


@dataclass(frozen=True)
class Arrivals:
    """How often a parent comes after its children (``late``) or never (``never``): shares, and at least so many.

    The first ``exempt`` projects are always in order.
    """

    late: float
    never: float
    at_least: int
    exempt: int = 0


def cohort(
    world: World, rng: np.random.Generator, seeds: Seeds, numbers: Numbers, arrivals: Arrivals
) -> tuple[Frames, Numbers]:
    """Frames per dataset, and the numbers that are free after them."""
    projects = _projects(world, rng, seeds, numbers)
    lots_per_project = rng.choice([1, 2, 3, 4], len(seeds), p=[0.62, 0.22, 0.10, 0.06])
    lots = _lots(world, rng, projects, lots_per_project, numbers)
    notice = notices(world, rng, projects, lots, numbers.notice)
    bid, winners = bids(world, rng, projects, lots)
    frames = {
        "project": _project_frame(world, rng, projects, numbers, arrivals),
        "lot": _lot_frame(world, rng, projects, lots, arrivals),
        "notice": notice,
        "bid": bid,
        **outcomes(world, rng, projects, lots, winners),
    }
    after = Numbers(
        project=numbers.project + len(seeds),
        code=numbers.code + len(seeds) + len(lots.project),
        notice=numbers.notice + notice.height,
    )
    return frames, after


def pick_types(world: World, rng: np.random.Generator, node: Ints) -> Ints:
    """A transaction type for each project, by what its node trades."""
    chosen: Ints = (world.type_cdf[node] < rng.random(len(node))[:, None]).sum(axis=1).astype(np.int64)
    return chosen


def deal_codes(source: npt.NDArray[np.str_], platform: npt.NDArray[np.str_], day: Ints, number: Ints) -> pl.Series:
    """type-USCC-date-number-check: unified deal codes with their MOD 37-2 check character."""
    date = np.datetime_as_string(day.astype("datetime64[D]"), unit="D")
    parts = pl.DataFrame({"s": source, "u": platform, "d": date, "n": number % 1_000_000})
    body = parts.select(
        pl.concat_str(
            "s", "u", pl.col("d").str.replace_all("-", "", literal=True), pl.col("n").cast(pl.String).str.zfill(6)
        )
    ).to_series()
    whole = pl.Series("w", with_mod_37_2(body.to_numpy().astype("S35")).astype(str))
    cut = [whole.str.slice(a, b) for a, b in ((0, 3), (3, 18), (21, 8), (29, 6), (35, 1))]
    return pl.select(pl.concat_str([pl.lit(part) for part in cut], separator="-")).to_series()


def _projects(world: World, rng: np.random.Generator, seeds: Seeds, numbers: Numbers) -> Projects:
    count = len(seeds)
    node, day = seeds.node, seeds.day
    kind, source = _source_codes(world, seeds)
    type_code = np.where(seeds.unknown, "unknown", world.type_code[kind])
    created = day * DAY + office_hours(rng, count)
    noticed = (day + rng.integers(1, 8, count)) * DAY + office_hours(rng, count)
    opened = (noticed // DAY + rng.integers(20, 36, count)) * DAY + office_hours(rng, count)
    number = numbers.project + np.arange(count, dtype=np.int64)
    year = np.datetime_as_string(day.astype("datetime64[D]").astype("datetime64[Y]"))
    base = pl.DataFrame(
        {"l": world.source_code[kind], "n": world.node_code[node], "y": year, "k": number, "s": source}
    ).select(
        code=pl.concat_str(
            pl.col("l").str.slice(0, 1), "n", pl.col("y").str.slice(2, 2), pl.col("k").cast(pl.String).str.zfill(8)
        )
    )
    rural = world.industry[kind] == "06"
    own = TENDERERS_PER_NODE - RURAL_TENDERERS
    tenderer = node * TENDERERS_PER_NODE + np.where(
        rural, own + rng.integers(0, RURAL_TENDERERS, count), rng.integers(0, own, count)
    )
    places = np.array(["一期", "二期", "东区", "西区", "南段", "北段", '"十四五"第1,2批', "A&B<改>造", "年度"])
    place = rng.choice(places, count, p=[0.2, 0.15, 0.15, 0.15, 0.12, 0.12, 0.005, 0.005, 0.1])
    subject = pl.DataFrame({"n": world.node_name[node], "y": year, "p": place, "t": world.type_name[kind]}).select(
        pl.concat_str("n", "y", pl.lit("年"), "p", "t", pl.lit("项目"))
    )
    return Projects(
        number=number, node=node, kind=kind, day=day, created=created, noticed=noticed, opened=opened,
        code=base["code"], source=source, type_code=type_code, region=_regions(world, rng, node),
        tenderer=tenderer, subject=subject.to_series(), held=seeds.held,
    )  # fmt: skip


def _source_codes(world: World, seeds: Seeds) -> tuple[Ints, npt.NDArray[np.str_]]:
    """Types and source codes, with the regional exceptions E09 (210200) and A06 (210300 before 2023)."""
    nodes = all_nodes()
    anshan = np.array([node.city == "210300" for node in nodes])[seeds.node]
    dalian = np.array([node.city == "210200" for node in nodes])[seeds.node]
    index = {code: i for i, code in enumerate(world.type_code)}
    early = seeds.day < A06_CHANGES
    kind = np.where(anshan & early & (seeds.kind == index["0106"]), index["0105"], seeds.kind)
    source = world.source_code[kind]
    source = np.where(dalian & (kind == index["0506"]), "E09", source)
    source = np.where(anshan & early & (kind == index["0105"]), "A06", source)
    return kind, np.where(seeds.unknown, "Z99", source)


def _regions(world: World, rng: np.random.Generator, node: Ints) -> npt.NDArray[np.str_]:
    widest = max(len(codes) for codes in world.regions)
    table = np.array([codes + (codes[0],) * (widest - len(codes)) for codes in world.regions])
    choices = np.array([len(codes) for codes in world.regions])[node]
    pick = np.where(rng.random(len(node)) < 0.8, 0, (rng.random(len(node)) * choices).astype(np.int64))
    return table[node, pick]


def _lots(world: World, rng: np.random.Generator, projects: Projects, sizes: Ints, numbers: Numbers) -> Lots:
    project = np.repeat(np.arange(len(sizes)), sizes)
    count = len(project)
    ordinal = np.arange(count) - np.repeat(np.cumsum(sizes) - sizes, sizes) + 1
    codes = pl.DataFrame(
        {"c": projects.code.gather(project), "o": ordinal, "t": projects.subject.gather(project)}
    ).select(
        code=pl.concat_str("c", pl.lit("001"), pl.col("o").cast(pl.String).str.zfill(3)),
        name=pl.concat_str("t", pl.lit("第"), "o", pl.lit("标段")),
    )
    deal = deal_codes(
        projects.source[project],
        world.platform[projects.node[project]],
        projects.day[project],
        numbers.code + len(sizes) + np.arange(count, dtype=np.int64),
    )
    ended = rng.random(count) < 0.015
    result = ~ended & (rng.random(count) < 0.955)
    contract = result & (rng.random(count) < 0.643)
    performance = contract & (rng.random(count) < 0.535)
    resulted = (projects.opened[project] // DAY + rng.integers(2, 11, count)) * DAY + office_hours(rng, count)
    signed = (resulted // DAY + rng.integers(5, 31, count)) * DAY + office_hours(rng, count)
    finished = (signed // DAY + rng.integers(30, 541, count)) * DAY + office_hours(rng, count)
    return Lots(
        project, codes["code"], deal, codes["name"], _reckon(world, rng, projects, project, ordinal),
        ended, result, contract, performance, resulted, signed, finished,
    )  # fmt: skip


def _reckon(world: World, rng: np.random.Generator, projects: Projects, project: Ints, ordinal: Ints) -> Ints:
    """Estimated prices in thousandths of a yuan: log-normal by industry, rarely over 3 billion yuan."""
    count = len(project)
    industry = world.industry[projects.kind[project]]
    median = np.array([MEDIAN_YUAN[code] for code in sorted(MEDIAN_YUAN)])[industry.astype(np.int64) - 1]
    yuan = np.clip(median * np.exp(rng.normal(0, 1.2, count)), 5_000, 2.2e9)
    milli = rounded(rng, yuan)
    forced = np.where(ordinal == 1, projects.held[project], 0)
    huge = (rng.random(count) < 1 / 4000) | (forced == 1)
    milli = np.where(huge, (rng.integers(3_200_000, 9_000_000, count)) * 1_000_000, milli)
    return np.where(forced == 2, 3_000_000_000_000, milli)


def _project_frame(
    world: World, rng: np.random.Generator, projects: Projects, numbers: Numbers, arrivals: Arrivals
) -> pl.DataFrame:
    count = len(projects.number)
    node = projects.node
    self_run = rng.random(count) < 0.25
    agency = rng.integers(0, len(world.agency_name), count)
    tenderer = world.tenderer_name.gather(projects.tenderer)
    department = np.array([DEPARTMENTS[code] for code in sorted(DEPARTMENTS)])
    industry = world.industry[projects.kind].astype(np.int64) - 1
    stamp, kind, kept = _parent_arrival(rng, projects.created, projects.noticed, np.arange(count), arrivals)
    deal = deal_codes(projects.source, world.platform[node], projects.day, numbers.code + np.arange(count))
    columns = {
        "PROJECT_CODE": projects.code,
        "TENDER_PROJECT_CODE": projects.code + "001",
        "UNIFIED_DEAL_CODE": deal,
        "TENDER_PROJECT_NAME": projects.subject,
        "TENDER_PROJECT_TYPE": pl.Series(world.national_class[projects.kind]),
        "REGION_CODE": pl.Series(projects.region),
        "OWNER_NAME": tenderer,
        "TENDERER_NAME": tenderer,
        "TENDERER_CODE": world.tenderer_code.gather(projects.tenderer),
        "TENDER_AGENCY_NAME": unless(self_run, world.agency_name.gather(agency)),
        "TENDER_AGENCY_CODE": unless(self_run, world.agency_code.gather(agency)),
        "TENDER_MODE": pl.Series(np.where(rng.random(count) < 0.9, "1", "2")),
        "TENDER_ORGANIZE_FORM": pl.Series(np.where(self_run, "1", "2")),
        "SUPERVISE_DEPT_NAME": pl.Series(np.char.add(world.node_name[node], department[industry])),
        "SUPERVISE_DEPT_CODE": pl.Series(
            np.char.add(np.char.add("11", world.node_code[node]), world.industry[projects.kind])
        ),
        "CREATE_TIME": event_text(projects.created, node),
    }
    return book_frame(world, schema.PROJECT, columns, projects, np.arange(count), stamp, kind).filter(pl.Series(kept))


def _lot_frame(
    world: World, rng: np.random.Generator, projects: Projects, lots: Lots, arrivals: Arrivals
) -> pl.DataFrame:
    project = lots.project
    node = projects.node[project]
    created = projects.created[project] + np.where(
        rng.random(len(project)) < 0.7, rng.integers(0, 3 * 3600, len(project)), rng.integers(0, 3 * DAY, len(project))
    )
    stamp, kind, kept = _parent_arrival(rng, created, projects.noticed[project] + DAY, project, arrivals)
    region = projects.region[project]
    cities = np.array([n.code for n in all_nodes() if n.level == "city"])
    remote = rng.random(len(project)) < 0.12
    columns = {
        "TENDER_PROJECT_CODE": lots.code.str.slice(0, 20),
        "BID_SECTION_CODE": lots.code,
        "BID_SECTION_NAME": lots.name,
        "UNIFIED_DEAL_CODE": lots.deal,
        "REGION_CODE": pl.Series(region),
        "TRA_PLACE_CODE": pl.Series(np.char.add("JY", world.node_code[node])),
        "CURRENCY_CODE": pl.Series(np.full(len(project), "156")),
        "REMOTE_EVALUATION_REGION": unless(~remote, pl.Series(rng.choice(cities, len(project)))),
        "CREATE_TIME": event_text(created, node),
    }
    unit = price_units(rng, node)
    return book_frame(world, schema.LOT, columns, projects, project, stamp, kind, lots.milli, unit).filter(
        pl.Series(kept)
    )


def _parent_arrival(
    rng: np.random.Generator, usual: Ints, first_child: Ints, project: Ints, arrivals: Arrivals
) -> tuple[Ints, npt.NDArray[np.str_], Bools]:
    """Cursor of each parent, why it is there, and whether it ever comes."""
    count = len(usual)
    order = rng.permutation(np.flatnonzero(project >= arrivals.exempt))
    late = np.zeros(count, dtype=np.bool_)
    late[order[: max(int(count * arrivals.late), arrivals.at_least)]] = True
    never = np.zeros(count, dtype=np.bool_)
    never[order[::-1][: max(int(count * arrivals.never), arrivals.at_least // 2)]] = True
    stamp = np.where(late, first_child + DAY, usual) + lag(rng, count)
    return stamp, np.where(late, "late_parent", "new"), ~never
