"""Lots of the history that a look at procurement should stop at, which chance alone would not make.

A few each: a short period for tenders, a tender handed in late that won, a contract signed late, a contract for
another price than the award, a winner that handed in no tender, one winner again and again for a buyer. Cursors stay,
so that every row comes on its day; what else is to be flagged is there by chance.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, timedelta

import polars as pl

from simulator.books import Frames
from simulator.habits import HELD_ABOVE_MILLI, amount_text
from simulator.trading.world import World

SHARE, AT_LEAST = 0.002, 3
SHORT_DAYS, USUAL_DAYS, SIGNED_WITHIN_DAYS = 10, 20, 30
LOTS_OF_A_FAVOURED = range(4, 9)
_LOT, _PROJECT = "BID_SECTION_CODE", "TENDER_PROJECT_CODE"


def with_suspicious_lots(world: World, frames: Frames, exempt: int, last: int) -> Frames:
    """The frames of a history, some lots of engineering and procurement changed.

    Args:
        world: the pools; its random stream "suspicious" chooses.
        frames: of the seven datasets, with ``_due``.
        exempt: projects up to this number stay as they are.
        last: the last day (since 1970) of the history.
    """
    chosen = _choose(world, frames, exempt, last)
    changed = dict(frames)
    _shorten_periods(changed, chosen["short"])
    _hand_in_late(changed, chosen["late"])
    _award_early(changed, chosen["signed"])
    _contract_for_more(changed, chosen["price"])
    _let_win(changed, chosen["outsider"], among_bids=False)
    _let_win(changed, chosen["favourite"], among_bids=True)
    return changed


def _choose(world: World, frames: Frames, exempt: int, last: int) -> dict[str, dict[str, str]]:
    """By kind, what is changed (lot or project) and what it becomes (a day, a bidder's code); no lot twice."""
    able = _able(frames, exempt, last)
    rows = able[world.rng("suspicious").permutation(able.height)].to_dicts()
    bidders: dict[str, set[str]] = defaultdict(set)
    for lot, bidder in frames["bid"].select(_LOT, "BIDDER_ORG_CODE").iter_rows():
        bidders[lot].add(bidder)
    found: dict[str, dict[str, str]] = {
        name: {} for name in ("short", "late", "signed", "price", "outsider", "favourite")
    }
    most = max(AT_LEAST, int(able.height * SHARE))
    used = _favour(rows, bidders, most, found["favourite"])
    for row in rows:
        lot, project = row[_LOT], row[_PROJECT]
        if lot in used:
            continue
        noticed, deadline, handed_in = _day(row["noticed"]), _day(row["deadline"]), _day(row["handed_in"])
        signed = _day(row["signed"]) if row["signed"] else None
        usual, early = noticed + timedelta(USUAL_DAYS), deadline + timedelta(3)
        outsider = next((code for code in bidders[rows[0][_LOT]] if code not in bidders[lot]), None)
        if row["is_alone"] and len(found["short"]) < most and deadline > noticed + timedelta(SHORT_DAYS):
            found["short"][project] = _text(noticed + timedelta(SHORT_DAYS))
        elif row["is_alone"] and len(found["late"]) < most and handed_in - timedelta(1) >= usual:
            found["late"][project] = _text(handed_in - timedelta(1))
        elif signed and len(found["signed"]) < most and (signed - early).days > SIGNED_WITHIN_DAYS:
            found["signed"][lot] = _text(early)
        elif signed and row["is_priced"] and len(found["price"]) < most:
            found["price"][lot] = ""
        elif outsider and len(found["outsider"]) < most:
            found["outsider"][lot] = outsider
    return found


def _able(frames: Frames, exempt: int, last: int) -> pl.DataFrame:
    """Lots with one award in the past, in openly tendered projects, with their days as texts."""
    first = frames["notice"].filter((pl.col("BULLETIN_TYPE") == "1") & (pl.col("NOTICE_NATURE") == "1"))
    notices = first.group_by(_PROJECT).agg(
        pl.col("NOTICE_SEND_TIME").first().alias("noticed"), pl.col("BID_DOC_REFER_END_TIME").first().alias("deadline")
    )
    projects = frames["project"].filter(pl.col("TENDER_MODE") == "1").select(_PROJECT, "TENDERER_CODE")
    alone = frames["lot"].group_by(_PROJECT).agg((pl.len() == 1).alias("is_alone"))
    priced = (pl.col("_milli").is_not_null() & (pl.col("_milli") < HELD_ABOVE_MILLI // 2)).alias("is_priced")
    results = frames["result"].filter(
        pl.col("_type").str.slice(0, 2).is_in(["01", "02"]) & (pl.col("_p") > exempt) & (pl.col("_due") <= last)
    )
    winners = frames["bid"].select(_LOT, pl.col("BIDDER_ORG_CODE").alias("WIN_BIDDER_CODE"), handed_in="CHECKIN_TIME")
    contracts = frames["contract"].filter(pl.col("_due") <= last).select(_LOT, signed="CONTRACT_SIGN_TIME")
    return (
        results.select(_LOT, _PROJECT, "WIN_BIDDER_CODE", "_node", pl.col("NOTICE_SEND_TIME").alias("awarded"), priced)
        .join(notices, on=_PROJECT)
        .join(projects, on=_PROJECT)
        .join(alone, on=_PROJECT)
        .join(winners, on=[_LOT, "WIN_BIDDER_CODE"])
        .join(contracts, on=_LOT, how="left")
        .sort(_LOT)
    )


def _favour(
    rows: list[dict[str, object]], bidders: Mapping[str, set[str]], most: int, found: dict[str, str]
) -> set[str]:
    """Let the winner of one lot of a buyer and year win most of its others; returns all lots of these buyers."""
    groups: dict[tuple[object, object, str], list[dict[str, object]]] = defaultdict(list)
    for row in rows:
        groups[row["_node"], row["TENDERER_CODE"], str(row["awarded"])[:4]].append(row)
    used: set[str] = set()
    favoured = 0
    for lots in groups.values():
        favourite = str(lots[0]["WIN_BIDDER_CODE"])
        open_to = [str(row[_LOT]) for row in lots[1:] if favourite not in bidders[str(row[_LOT])]]
        needed = (len(lots) * 3 + 4) // 5 - 1
        if favoured < most and len(lots) in LOTS_OF_A_FAVOURED and len(open_to) >= needed:
            found |= dict.fromkeys(open_to[:needed], favourite)
            used |= {str(row[_LOT]) for row in lots}
            favoured += 1
    return used


def _shorten_periods(frames: Frames, deadlines: Mapping[str, str]) -> None:
    eve = {project: _text(_day(day) - timedelta(1)) for project, day in deadlines.items()}
    frames["notice"] = _moved(frames["notice"], _PROJECT, deadlines, "BID_DOC_REFER_END_TIME", "BID_OPEN_TIME")
    frames["bid"] = _moved(frames["bid"], _PROJECT, eve, "CHECKIN_TIME")


def _hand_in_late(frames: Frames, deadlines: Mapping[str, str]) -> None:
    frames["notice"] = _moved(frames["notice"], _PROJECT, deadlines, "BID_DOC_REFER_END_TIME")


def _award_early(frames: Frames, days: Mapping[str, str]) -> None:
    frames["result"] = _moved(frames["result"], _LOT, days, "NOTICE_SEND_TIME")
    is_result = pl.col("BULLETIN_TYPE") == "4"
    notices = frames["notice"]
    moved = _moved(notices, "BID_SECTION_CODES", days, "NOTICE_SEND_TIME")["NOTICE_SEND_TIME"]
    frames["notice"] = notices.with_columns(
        NOTICE_SEND_TIME=pl.when(is_result).then(pl.lit(moved)).otherwise("NOTICE_SEND_TIME")
    )


def _contract_for_more(frames: Frames, lots: Mapping[str, str]) -> None:
    more = pl.when(pl.col(_LOT).is_in(list(lots))).then(pl.col("_milli") * 5 // 40 * 10).otherwise("_milli")
    frames["contract"] = frames["contract"].with_columns(_milli=more).with_columns(
        amount_text(pl.col("_milli"), pl.col("PRICE_UNIT") == "1").alias("CONTRACT_PRICE")
    )  # fmt: skip


def _let_win(frames: Frames, winners: Mapping[str, str], *, among_bids: bool) -> None:
    """Another organisation wins the lots, with a tender of its own instead of the winner's or without one."""
    names = dict(frames["bid"].select("BIDDER_ORG_CODE", "BIDDER_NAME").unique("BIDDER_ORG_CODE").iter_rows())
    regions = dict(frames["bid"].select("BIDDER_ORG_CODE", "BIDDER_REGION_CODE").unique("BIDDER_ORG_CODE").iter_rows())
    before = dict(
        frames["result"].filter(pl.col(_LOT).is_in(list(winners))).select(_LOT, "WIN_BIDDER_CODE").iter_rows()
    )
    for dataset, code, name in (
        *((("bid", "BIDDER_ORG_CODE", "BIDDER_NAME"),) if among_bids else ()),
        ("result", "WIN_BIDDER_CODE", "WIN_BIDDER_NAME"),
        ("contract", "BIDDER_CODE", None),
    ):
        frame = frames[dataset]
        is_winner = pl.col(_LOT).replace_strict(before, default=None, return_dtype=pl.String) == pl.col(code)
        new = pl.col(_LOT).replace_strict(winners, default=None, return_dtype=pl.String)
        columns = {code: new}
        if name:
            columns[name] = new.replace_strict(names, default=None, return_dtype=pl.String)
            columns["BIDDER_REGION_CODE"] = new.replace_strict(regions, default=None, return_dtype=pl.String)
        frames[dataset] = frame.with_columns(
            **{column: pl.when(is_winner).then(value).otherwise(column) for column, value in columns.items()}
        )


def _moved(frame: pl.DataFrame, key: str, days: Mapping[str, str], *columns: str) -> pl.DataFrame:
    """Times of some rows on another day (yyyyMMdd by key), at the same time of day, as exact as they were."""
    day = pl.col(key).replace_strict(days, default=None, return_dtype=pl.String)
    return frame.with_columns(
        pl.when(day.is_not_null() & pl.col(column).is_not_null())
        .then(day + pl.col(column).str.slice(8))
        .otherwise(column)
        .alias(column)
        for column in columns
    )


def _day(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


def _text(day: date) -> str:
    return f"{day:%Y%m%d}"
