"""What becomes of lots: notices of every stage, bids, results, contracts, performance."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from simulator.habits import DAY, Bools, Ints, event_text, flag_text, price_units
from simulator.trading import schema
from simulator.trading.rows import Lots, Projects, book_frame, lag, rounded, unless
from simulator.trading.world import World

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


def notices(world: World, rng: np.random.Generator, projects: Projects, lots: Lots, first_number: int) -> pl.DataFrame:
    count, of_lot = len(projects.number), len(lots.project)
    national = world.national_class[projects.kind[lots.project]]
    building = np.isin(national, ["01", "02"])
    chance = rng.random
    clarified = chance(count) < 0.35
    odd = _some(rng, ~building & lots.result, 0.01, lots.resulted)
    registered = _some(rng, (national == "04") & lots.result, 0.8, lots.resulted)
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
        ("7", "1", np.flatnonzero(registered), lots.resulted + 20 * DAY),
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
    number = first_number + np.arange(total)
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
        "BID_DOC_REFER_END_TIME": unless(~first, event_text(projects.opened[project] - 1800, node)),
        "BID_OPEN_TIME": unless(~first, event_text(projects.opened[project], node)),
    }  # fmt: skip
    stamp = sent + lag(rng, total)
    return book_frame(world, schema.NOTICE, columns, projects, project, stamp, np.full(total, "new"))


def _some(rng: np.random.Generator, able: Bools, share: float, when: Ints) -> Bools:
    """A share of those who are able; in a cohort of some size the earliest one in any case."""
    chosen = able & (rng.random(len(able)) < share)
    if len(able) > 100 and able.any():
        chosen[np.flatnonzero(able)[np.argmin(when[able])]] = True
    return chosen


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


def bids(world: World, rng: np.random.Generator, projects: Projects, lots: Lots) -> tuple[pl.DataFrame, _Winners]:
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
    milli = rounded(rng, lots.milli[lot] / 1000 * factor)
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
        "PM_CODE": unless(~has_manager, world.person_id.gather(rng.integers(0, len(world.person_id), len(lot)))),
    }
    stamp = checkin + lag(rng, len(lot))
    unit = price_units(rng, node)
    frame = book_frame(
        world, schema.BID, columns, projects, project, stamp, np.full(len(lot), "new"), milli, unit, form[lot] == "1"
    )
    win_bidder = (start + winning * step) % pool
    win_milli = np.zeros(of_lot, dtype=np.int64)
    win_milli[lot[won]] = np.where(unit[won], milli[won] // 10 * 10, milli[won])
    return frame, _Winners(win_bidder, form, win_milli)


def outcomes(
    world: World, rng: np.random.Generator, projects: Projects, lots: Lots, winners: _Winners
) -> dict[str, pl.DataFrame]:
    """Results, contracts and performance of the lots that get so far."""
    return {
        "result": _results(world, rng, projects, lots, winners),
        "contract": _contracts(world, rng, projects, lots, winners),
        "performance": _performance(world, rng, projects, lots, winners),
    }


def _results(world: World, rng: np.random.Generator, projects: Projects, lots: Lots, winners: _Winners) -> pl.DataFrame:
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
        "PROJECT_LEAD": unless(~led, world.person_name.gather(person)),
        "PROJECT_LEAD_ID": unless(~led, world.person_id.gather(person)),
    }
    stamp = lots.resulted[lot] + lag(rng, len(lot))
    unit = price_units(rng, node)
    why = np.full(len(lot), "new")
    return book_frame(
        world, schema.RESULT, columns, projects, project, stamp, why, winners.milli[lot], unit, form == "1"
    )


def _contracts(
    world: World, rng: np.random.Generator, projects: Projects, lots: Lots, winners: _Winners
) -> pl.DataFrame:
    lot = np.flatnonzero(lots.contract)
    project = lots.project[lot]
    node = projects.node[project]
    estimated = rounded(rng, lots.milli[lot] / 1000 * rng.uniform(0.9, 1.0, len(lot)))
    milli = np.where(winners.form[lot] == "1", winners.milli[lot], estimated)
    columns = {
        **_lot_reference(lots, lot),
        "CONTRACT_NAME": lots.name.gather(lot) + "合同",
        "TENDER_CODE": world.tenderer_code.gather(projects.tenderer[project]),
        "BIDDER_CODE": world.bidder_code.gather(winners.bidder[lot]),
        "CONTRACT_SIGN_TIME": event_text(lots.signed[lot], node),
        "LIMITE_TIME": pl.Series(rng.integers(30, 541, len(lot))).cast(pl.String),
    }
    stamp = lots.signed[lot] + lag(rng, len(lot))
    return book_frame(
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
    world: World, rng: np.random.Generator, projects: Projects, lots: Lots, winners: _Winners
) -> pl.DataFrame:
    lot = np.flatnonzero(lots.performance)
    project = lots.project[lot]
    node = projects.node[project]
    base = np.where(winners.form[lot] == "1", winners.milli[lot], lots.milli[lot])
    milli = rounded(rng, base / 1000 * rng.uniform(0.95, 1.05, len(lot)))
    changed = rng.random(len(lot)) < 0.1
    changes = np.array(["工期顺延30日", '增加工程量清单外项目,\n详见附件"变更单"', "主材价差调整<5%"])
    columns = {
        **_lot_reference(lots, lot),
        "FINISH_TIME": event_text(lots.finished[lot], node),
        "CONTRACT_CHANGE_CONTENT": unless(~changed, pl.Series(rng.choice(changes, len(lot)))),
        "ACTUALLY_PERIOD": pl.Series((lots.finished[lot] - lots.signed[lot]) // DAY).cast(pl.String),
        "REPORT_ISSUE_TIME": event_text(lots.finished[lot] + 6 * DAY, node),
    }
    stamp = lots.finished[lot] + 6 * DAY + lag(rng, len(lot))
    return book_frame(
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


def _lot_reference(lots: Lots, lot: Ints) -> dict[str, pl.Series]:
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
