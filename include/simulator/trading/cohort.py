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
from simulator.tables import Table
from simulator.trading import schema
from simulator.trading.habits import DAY, amount_text, event_text, flag_text, price_units, seconds_text
from simulator.trading.world import DEPARTMENTS, RURAL_TENDERERS, TENDERERS_PER_NODE, World

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Frames = dict[str, pl.DataFrame]

A06_CHANGES = int(np.datetime64("2023-01-01").astype("datetime64[D]").astype(np.int64))
LOTS_PER_PROJECT = 1.6
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
MEDIA, NATIONAL_MEDIA = "辽宁省公共资源交易平台", "中国招标投标公共服务平台"
STAGES = {
    "1": "公告",
    "2": "澄清公告",
    "3": "开标记录",
    "4": "结果公告",
    "5": "合同公告",
    "6": "履约公告",
    "7": "登记公告",
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


@dataclass(frozen=True)
class _Projects:
    number: Ints
    node: Ints
    kind: Ints
    day: Ints
    created: Ints
    noticed: Ints
    opened: Ints
    code: pl.Series
    source: npt.NDArray[np.str_]
    type_code: npt.NDArray[np.str_]
    region: npt.NDArray[np.str_]
    tenderer: Ints
    subject: pl.Series
    held: Ints


@dataclass(frozen=True)
class _Lots:
    project: Ints
    code: pl.Series
    deal: pl.Series
    name: pl.Series
    milli: Ints
    ended: Bools
    result: Bools
    contract: Bools
    performance: Bools
    resulted: Ints
    signed: Ints
    finished: Ints


def cohort(
    world: World, rng: np.random.Generator, seeds: Seeds, numbers: Numbers, arrivals: Arrivals
) -> tuple[Frames, Numbers]:
    """Frames per dataset, and the numbers that are free after them."""
    projects = _projects(world, rng, seeds, numbers)
    lots_per_project = rng.choice([1, 2, 3, 4], len(seeds), p=[0.62, 0.22, 0.10, 0.06])
    lots = _lots(world, rng, projects, lots_per_project, numbers)
    notice = _notices(world, rng, projects, lots, numbers)
    bids, winners = _bids(world, rng, projects, lots)
    frames = {
        "project": _project_frame(world, rng, projects, numbers, arrivals),
        "lot": _lot_frame(world, rng, projects, lots, arrivals),
        "notice": notice,
        "bid": bids,
        **_outcomes(world, rng, projects, lots, winners),
    }
    after = Numbers(
        project=numbers.project + len(seeds),
        code=numbers.code + len(seeds) + len(lots.project),
        notice=numbers.notice + notice.height,
    )
    return frames, after


def pick_types(world: World, rng: np.random.Generator, node: Ints) -> Ints:
    """A transaction type for each project, by what its node trades."""
    return (world.type_cdf[node] < rng.random(len(node))[:, None]).sum(axis=1).astype(np.int64)


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


def _projects(world: World, rng: np.random.Generator, seeds: Seeds, numbers: Numbers) -> _Projects:
    count = len(seeds)
    node, day = seeds.node, seeds.day
    kind, source = _source_codes(world, seeds)
    type_code = np.where(seeds.unknown, "unknown", world.type_code[kind])
    created = day * DAY + _office_hours(rng, count)
    noticed = (day + rng.integers(1, 8, count)) * DAY + _office_hours(rng, count)
    opened = (noticed // DAY + rng.integers(20, 36, count)) * DAY + _office_hours(rng, count)
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
    return _Projects(
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


def _lots(world: World, rng: np.random.Generator, projects: _Projects, sizes: Ints, numbers: Numbers) -> _Lots:
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
    resulted = (projects.opened[project] // DAY + rng.integers(2, 11, count)) * DAY + _office_hours(rng, count)
    signed = (resulted // DAY + rng.integers(5, 31, count)) * DAY + _office_hours(rng, count)
    finished = (signed // DAY + rng.integers(30, 541, count)) * DAY + _office_hours(rng, count)
    return _Lots(
        project, codes["code"], deal, codes["name"], _reckon(world, rng, projects, project, ordinal),
        ended, result, contract, performance, resulted, signed, finished,
    )  # fmt: skip


def _reckon(world: World, rng: np.random.Generator, projects: _Projects, project: Ints, ordinal: Ints) -> Ints:
    """Estimated prices in thousandths of a yuan: log-normal by industry, rarely over 3 billion yuan."""
    count = len(project)
    industry = world.industry[projects.kind[project]]
    median = np.array([MEDIAN_YUAN[code] for code in sorted(MEDIAN_YUAN)])[industry.astype(np.int64) - 1]
    yuan = np.clip(median * np.exp(rng.normal(0, 1.2, count)), 5_000, 2.2e9)
    milli = _rounded(rng, yuan)
    forced = np.where(ordinal == 1, projects.held[project], 0)
    huge = (rng.random(count) < 1 / 4000) | (forced == 1)
    milli = np.where(huge, (rng.integers(3_200_000, 9_000_000, count)) * 1_000_000, milli)
    return np.where(forced == 2, 3_000_000_000_000, milli)


def _rounded(rng: np.random.Generator, yuan: npt.NDArray[np.float64]) -> Ints:
    """Amounts people write: most in hundreds of yuan, many in cents, one of a hundred with half a cent."""
    cents = np.round(yuan * 100).astype(np.int64)
    habit = rng.random(len(yuan))
    milli = np.where(habit < 0.6, cents // 10_000 * 100_000, cents * 10)
    return np.where(habit > 0.99, cents * 10 + 5, milli)


def _project_frame(
    world: World, rng: np.random.Generator, projects: _Projects, numbers: Numbers, arrivals: Arrivals
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
        "TENDER_AGENCY_NAME": _unless(self_run, world.agency_name.gather(agency)),
        "TENDER_AGENCY_CODE": _unless(self_run, world.agency_code.gather(agency)),
        "TENDER_MODE": pl.Series(np.where(rng.random(count) < 0.9, "1", "2")),
        "TENDER_ORGANIZE_FORM": pl.Series(np.where(self_run, "1", "2")),
        "SUPERVISE_DEPT_NAME": pl.Series(np.char.add(world.node_name[node], department[industry])),
        "SUPERVISE_DEPT_CODE": pl.Series(
            np.char.add(np.char.add("11", world.node_code[node]), world.industry[projects.kind])
        ),
        "CREATE_TIME": event_text(projects.created, node),
    }
    return _frame(world, schema.PROJECT, columns, projects, np.arange(count), stamp, kind).filter(pl.Series(kept))


def _lot_frame(
    world: World, rng: np.random.Generator, projects: _Projects, lots: _Lots, arrivals: Arrivals
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
        "REMOTE_EVALUATION_REGION": _unless(~remote, pl.Series(rng.choice(cities, len(project)))),
        "CREATE_TIME": event_text(created, node),
    }
    unit = price_units(rng, node)
    return _frame(world, schema.LOT, columns, projects, project, stamp, kind, lots.milli, unit).filter(pl.Series(kept))


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
    stamp = np.where(late, first_child + DAY, usual) + _lag(rng, count)
    return stamp, np.where(late, "late_parent", "new"), ~never


def _notices(
    world: World, rng: np.random.Generator, projects: _Projects, lots: _Lots, numbers: Numbers
) -> pl.DataFrame:
    count, of_lot = len(projects.number), len(lots.project)
    national = world.national_class[projects.kind[lots.project]]
    building = np.isin(national, ["01", "02"])
    chance = rng.random
    clarified = chance(count) < 0.35
    odd = ~building & lots.result & (chance(of_lot) < 0.01)
    if odd.sum() == 0 and of_lot > 100:
        odd[np.flatnonzero(~building & lots.result)[:1]] = True
    opened = projects.opened[lots.project]
    # bulletin type, nature, projects or lots, time
    whole = [
        ("1", "1", np.arange(count), projects.noticed),
        ("2", "1", np.flatnonzero(clarified & (projects.number % 2 == 0)), projects.noticed + 5 * DAY),
        ("1", "2", np.flatnonzero(clarified & (projects.number % 2 == 1)), projects.noticed + 6 * DAY),
    ]
    single = [
        ("3", "1", np.flatnonzero((national == "01") & ~lots.ended & (chance(of_lot) < 0.9)), opened + 3600),
        ("4", "1", np.flatnonzero(lots.result & (chance(of_lot) < 0.96)), lots.resulted),
        ("5", "1", np.flatnonzero(lots.contract & building & (chance(of_lot) < 0.95)), lots.signed + 2 * DAY),
        ("6", "1", np.flatnonzero(lots.performance & building & (chance(of_lot) < 0.7)), lots.finished + 3 * DAY),
        ("7", "1", np.flatnonzero(lots.result & (national == "04") & (chance(of_lot) < 0.8)), lots.resulted + 20 * DAY),
        ("1", "3", np.flatnonzero(lots.ended), opened - 5 * DAY),
        ("6", "1", np.flatnonzero(odd), lots.resulted + 9 * DAY),
    ]
    joined = (
        pl.DataFrame({"p": lots.project, "c": lots.code, "d": lots.deal})
        .group_by("p", maintain_order=True)
        .agg(pl.col("c").str.join(";"), pl.col("d").str.join(";"))
    )
    bulletin = np.concatenate([np.full(len(where), b) for b, _, where, _ in whole + single])
    nature = np.concatenate([np.full(len(where), n) for _, n, where, _ in whole + single])
    sent = np.concatenate([time[where] for _, _, where, time in whole + single])
    project = np.concatenate([where for _, _, where, _ in whole] + [lots.project[where] for _, _, where, _ in single])
    many = np.concatenate([where for _, _, where, _ in whole])
    one = np.concatenate([where for _, _, where, _ in single])
    total, node = len(project), projects.node[project]
    number = numbers.notice + np.arange(total)
    first = bulletin == "1"
    stages = np.array([STAGES[str(i)] for i in range(1, 8)])
    columns = {
        "TENDER_PROJECT_CODE": (projects.code + "001").gather(project),
        "BID_SECTION_CODES": pl.concat([joined["c"].gather(many), lots.code.gather(one)]),
        "UNIFIED_DEAL_CODES": pl.concat([joined["d"].gather(many), lots.deal.gather(one)]),
        "NOTICE_NAME": pl.concat([projects.subject.gather(many), lots.name.gather(one)])
        + pl.Series(stages[bulletin.astype(np.int64) - 1]),
        "NOTICE_SEND_TIME": event_text(sent, node),
        "NOTICE_MEDIA": pl.Series(np.where(chance(total) < 0.3, MEDIA + ";" + NATIONAL_MEDIA, MEDIA)),
        "URL": _urls(world.node_code[node], bulletin, number),
        "NOTICE_NATURE": pl.Series(nature),
        "BULLETIN_TYPE": pl.Series(bulletin),
        "BID_DOC_REFER_END_TIME": _unless(~first, event_text(projects.opened[project] - 1800, node)),
        "BID_OPEN_TIME": _unless(~first, event_text(projects.opened[project], node)),
    }  # fmt: skip
    stamp = sent + _lag(rng, total)
    return _frame(world, schema.NOTICE, columns, projects, project, stamp, np.full(total, "new"))


def _urls(node: npt.NDArray[np.str_], bulletin: npt.NDArray[np.str_], number: Ints) -> pl.Series:
    parts = pl.DataFrame({"node": node, "bulletin": bulletin, "number": number})
    number_text = pl.col("number").cast(pl.String).str.zfill(9)
    url = pl.format("https://ggzy.example.cn/{}/{}/{}.html", "node", "bulletin", number_text)
    return parts.select(url).to_series()


@dataclass(frozen=True)
class _Winners:
    """Per lot: who wins (bidder index), the price form, the winner's price."""

    bidder: Ints
    form: npt.NDArray[np.str_]
    milli: Ints


def _bids(world: World, rng: np.random.Generator, projects: _Projects, lots: _Lots) -> tuple[pl.DataFrame, _Winners]:
    of_lot = len(lots.project)
    sizes = np.where(lots.ended, 0, 1 + rng.binomial(9, 3.3 / 9, of_lot))
    lot = np.repeat(np.arange(of_lot), sizes)
    ordinal = np.arange(len(lot)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    pool = len(world.bidder_code)
    start, step = rng.integers(0, pool, of_lot), rng.integers(1, 40, of_lot)
    bidder = (start[lot] + ordinal * step[lot]) % pool
    winning = (rng.random(of_lot) * np.maximum(sizes, 1)).astype(np.int64)
    form = rng.choice(["1", "2", "3", "9"], of_lot, p=[0.88, 0.06, 0.04, 0.02])
    huge = lots.milli > 3_000_000_000_000
    factor = np.where(huge[lot], rng.uniform(0.97, 1.02, len(lot)), rng.uniform(0.82, 1.02, len(lot)))
    milli = _rounded(rng, lots.milli[lot] / 1000 * factor)
    project = lots.project[lot]
    node = projects.node[project]
    won = ordinal == winning[lot]
    checkin = projects.opened[project] - rng.integers(1800, 3 * DAY, len(lot))
    has_manager = rng.random(len(lot)) < 0.8
    columns = {
        **_lot_reference(lots, lot),
        "BIDDER_NAME": world.bidder_name.gather(bidder),
        "BIDDER_ORG_CODE": world.bidder_code.gather(bidder),
        "BIDDER_ROLE": pl.Series(np.where(rng.random(len(lot)) < 0.93, "1", "2")),
        "IS_LOST": flag_text(~won & (rng.random(len(lot)) < 0.12), node),
        "PRICE_FORM_CODE": pl.Series(form[lot]),
        "OTHER_BID_PRICE": _other_price(rng, form[lot]),
        "PRICE_CURRENCY": pl.Series(np.full(len(lot), "156")),
        "CHECKIN_TIME": event_text(checkin, node),
        "BIDDER_REGION_CODE": world.bidder_region.gather(bidder),
        "PM_CODE": _unless(~has_manager, world.person_id.gather(rng.integers(0, len(world.person_id), len(lot)))),
    }
    stamp = checkin + _lag(rng, len(lot))
    unit = price_units(rng, node)
    frame = _frame(
        world, schema.BID, columns, projects, project, stamp, np.full(len(lot), "new"), milli, unit, form[lot] == "1"
    )
    win_bidder = (start + winning * step) % pool
    win_milli = np.zeros(of_lot, dtype=np.int64)
    win_milli[lot[won]] = np.where(unit[won], milli[won] // 10 * 10, milli[won])
    return frame, _Winners(win_bidder, form, win_milli)


def _outcomes(world: World, rng: np.random.Generator, projects: _Projects, lots: _Lots, winners: _Winners) -> Frames:
    """Results, contracts and performance of the lots that get so far."""
    return {
        "result": _results(world, rng, projects, lots, winners),
        "contract": _contracts(world, rng, projects, lots, winners),
        "performance": _performance(world, rng, projects, lots, winners),
    }


def _results(
    world: World, rng: np.random.Generator, projects: _Projects, lots: _Lots, winners: _Winners
) -> pl.DataFrame:
    lot = np.flatnonzero(lots.result)
    project, bidder, form = lots.project[lot], winners.bidder[lot], winners.form[lot]
    node = projects.node[project]
    person = rng.integers(0, len(world.person_name), len(lot))
    led = rng.random(len(lot)) < 0.85
    columns = {
        **_lot_reference(lots, lot),
        "WIN_BIDDER_NAME": world.bidder_name.gather(bidder),
        "WIN_BIDDER_CODE": world.bidder_code.gather(bidder),
        "PRICE_FORM_CODE": pl.Series(form),
        "OTHER_BID_AMOUNT": _other_price(rng, form),
        "NOTICE_SEND_TIME": event_text(lots.resulted[lot], node),
        "BIDDER_REGION_CODE": world.bidder_region.gather(bidder),
        "PROJECT_LEAD": _unless(~led, world.person_name.gather(person)),
        "PROJECT_LEAD_ID": _unless(~led, world.person_id.gather(person)),
    }
    stamp = lots.resulted[lot] + _lag(rng, len(lot))
    unit = price_units(rng, node)
    why = np.full(len(lot), "new")
    return _frame(world, schema.RESULT, columns, projects, project, stamp, why, winners.milli[lot], unit, form == "1")


def _contracts(
    world: World, rng: np.random.Generator, projects: _Projects, lots: _Lots, winners: _Winners
) -> pl.DataFrame:
    lot = np.flatnonzero(lots.contract)
    project = lots.project[lot]
    node = projects.node[project]
    estimated = _rounded(rng, lots.milli[lot] / 1000 * rng.uniform(0.9, 1.0, len(lot)))
    milli = np.where(winners.form[lot] == "1", winners.milli[lot], estimated)
    columns = {
        **_lot_reference(lots, lot),
        "CONTRACT_NAME": lots.name.gather(lot) + "合同",
        "TENDER_CODE": world.tenderer_code.gather(projects.tenderer[project]),
        "BIDDER_CODE": world.bidder_code.gather(winners.bidder[lot]),
        "CONTRACT_SIGN_TIME": event_text(lots.signed[lot], node),
        "LIMITE_TIME": pl.Series(rng.integers(30, 541, len(lot))).cast(pl.String),
    }
    stamp = lots.signed[lot] + _lag(rng, len(lot))
    return _frame(
        world,
        schema.CONTRACT,
        columns,
        projects,
        project,
        stamp,
        np.full(len(lot), "new"),
        milli,
        price_units(rng, node),
    )


def _performance(
    world: World, rng: np.random.Generator, projects: _Projects, lots: _Lots, winners: _Winners
) -> pl.DataFrame:
    lot = np.flatnonzero(lots.performance)
    project = lots.project[lot]
    node = projects.node[project]
    base = np.where(winners.form[lot] == "1", winners.milli[lot], lots.milli[lot])
    milli = _rounded(rng, base / 1000 * rng.uniform(0.95, 1.05, len(lot)))
    changed = rng.random(len(lot)) < 0.1
    changes = np.array(["工期顺延30日", '增加工程量清单外项目,\n详见附件"变更单"', "主材价差调整<5%"])
    columns = {
        **_lot_reference(lots, lot),
        "FINISH_TIME": event_text(lots.finished[lot], node),
        "CONTRACT_CHANGE_CONTENT": _unless(~changed, pl.Series(rng.choice(changes, len(lot)))),
        "ACTUALLY_PERIOD": pl.Series((lots.finished[lot] - lots.signed[lot]) // DAY).cast(pl.String),
        "REPORT_ISSUE_TIME": event_text(lots.finished[lot] + 6 * DAY, node),
    }
    stamp = lots.finished[lot] + 6 * DAY + _lag(rng, len(lot))
    return _frame(
        world,
        schema.PERFORMANCE,
        columns,
        projects,
        project,
        stamp,
        np.full(len(lot), "new"),
        milli,
        price_units(rng, node),
    )


def _lot_reference(lots: _Lots, lot: Ints) -> dict[str, pl.Series]:
    code = lots.code.gather(lot)
    return {
        "TENDER_PROJECT_CODE": code.str.slice(0, 20),
        "BID_SECTION_CODE": code,
        "UNIFIED_DEAL_CODE": lots.deal.gather(lot),
    }


def _other_price(rng: np.random.Generator, form: npt.NDArray[np.str_]) -> pl.Series:
    """What stands beside a price that is a rate, a unit price or something else: text, never an amount."""
    number = pl.Series(rng.integers(100, 9_900, len(form)))
    tenth = (number // 100).cast(pl.String) + "." + (number % 100).cast(pl.String).str.zfill(2)
    shape = pl.Series(form)
    return pl.select(
        pl.when(shape == "2")
        .then(pl.lit("下浮率") + tenth + "%")
        .when(shape == "3")
        .then(tenth + "元/吨")
        .when(shape == "9")
        .then(pl.lit("按合同约定"))
    ).to_series()


def _frame(
    world: World,
    table: Table,
    columns: dict[str, pl.Series],
    projects: _Projects,
    project: Ints,
    stamp: Ints,
    kind: npt.NDArray[np.str_],
    milli: Ints | None = None,
    unit: Bools | None = None,
    priced: Bools | None = None,
) -> pl.DataFrame:
    """The national columns in their order, then those of the books."""
    node = projects.node[project]
    count = len(project)
    code = pl.Series(world.node_code[node])
    frame = pl.DataFrame(
        {name: series.alias(name) for name, series in columns.items()}
        | {
            "PLATFORM_CODE": pl.Series(world.platform[node]),
            "PUB_SERVICE_PLAT_CODE": "21" + code + "GG",
            "DATA_TIMESTAMP": seconds_text(stamp),
            "IS_DELETE": flag_text(np.zeros(count, dtype=np.bool_), node),
            "_p": pl.Series(projects.number[project]),
            "_node": pl.Series(node, dtype=pl.Int16),
            "_type": pl.Series(projects.type_code[project]),
            "_due": pl.Series(stamp // DAY, dtype=pl.Int32),
            "_kind": pl.Series(kind),
        }
    )
    if table.price is None or milli is None or unit is None:
        frame = frame.with_columns(pl.lit(None, dtype=pl.Int64).alias("_milli"))
    else:
        whole_cents = np.where(unit, milli // 10 * 10, milli)
        has_price = pl.lit(True) if priced is None else pl.lit(pl.Series(priced))
        frame = frame.with_columns(
            pl.when(has_price).then(pl.lit(pl.Series(whole_cents))).alias("_milli"),
            pl.when(pl.lit(pl.Series(unit))).then(pl.lit("1")).otherwise(pl.lit("0")).alias("PRICE_UNIT"),
        ).with_columns(amount_text(pl.col("_milli"), pl.col("PRICE_UNIT") == "1").alias(table.price))
    return frame.select(*table.columns, "_p", "_node", "_type", "_milli", "_due", "_kind")


def _unless(mask: Bools, values: pl.Series) -> pl.Series:
    return pl.select(pl.when(pl.lit(pl.Series(~mask))).then(pl.lit(values))).to_series()


def _office_hours(rng: np.random.Generator, count: int) -> Ints:
    return rng.integers(8 * 3600 + 1800, 17 * 3600 + 1800, count)


def _lag(rng: np.random.Generator, count: int) -> Ints:
    """Seconds from an event to the record's cursor."""
    return rng.integers(600, 7 * 3600, count)
