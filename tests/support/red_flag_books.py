"""Red flags counted again from the books of the simulated province, without SQL and without the program's rules.

Only the thresholds are the seed's. Amounts are whole cents, days are ``date``; what is not in the books is None.
"""

import csv
import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from simulator import Province
from simulator.books import Books
from simulator.fleet import all_nodes
from simulator.trading.schema import TRADING

SEED = Path(__file__).resolve().parents[2] / "dbt_project" / "seeds" / "red_flag_settings.csv"
HELD_ABOVE = 3_000_000_000_00
JUDGED = ("01", "02")
"""Industries whose types are of the national classes 01 and 02, and only they."""

Row = dict[str, Any]


@dataclass
class Lot:
    """One live lot, and the live records that name it."""

    row: Row
    project: Row | None
    notices: list[Row] = field(default_factory=list)
    gone_notices: list[Row] = field(default_factory=list)
    bids: list[Row] = field(default_factory=list)
    results: list[Row] = field(default_factory=list)
    contracts: list[Row] = field(default_factory=list)
    performance: Row | None = None

    def notice_day(self, bulletin: str, *, first: bool = True, column: str = "NOTICE_SEND_TIME") -> dt.date | None:
        days = [_day(one[column]) for one in self.notices if one["BULLETIN_TYPE"] == bulletin and _is(one, "1")]
        known = [day for day in days if day]
        return (min if first else max)(known) if known else None

    @property
    def deadline(self) -> dt.date | None:
        asking = [one for one in self.notices if _is(one, "2") or (_is(one, "1") and one["BULLETIN_TYPE"] in "12")]
        return max((day for one in asking if (day := _day(one["BID_DOC_REFER_END_TIME"]))), default=None)

    @property
    def is_withdrawn(self) -> bool:
        first = [one["BULLETIN_TYPE"] == "1" and _is(one, "1") for one in self.notices]
        gone = [one for one in self.gone_notices if one["BULLETIN_TYPE"] == "1" and _is(one, "1")]
        return (bool(gone) and not any(first)) or any(_is(one, "3") for one in self.notices)

    @property
    def buyer(self) -> str | None:
        return self.project["TENDERER_CODE"] if self.project else None

    @property
    def awarded(self) -> dt.date | None:
        return min((day for one in self.results if (day := _day(one["NOTICE_SEND_TIME"]))), default=None)

    @property
    def winner(self) -> str | None:
        return self.results[0]["WIN_BIDDER_CODE"] if len(self.results) == 1 else None

    @property
    def winning(self) -> Row | None:
        return next((bid for bid in self.bids if bid["BIDDER_ORG_CODE"] == self.winner), None)

    @property
    def rejected(self) -> int:
        return sum(_lost(bid) is True for bid in self.bids)


def red_flags_in_books(province: Province) -> set[tuple[str, str]]:
    """(red_flag_id, subject_key) of every hit, at the last night of the books."""
    with SEED.open(encoding="utf-8") as file:
        settings = {
            row["red_flag_id"]: (Fraction(row["threshold"]), int(row["least_cases"])) for row in csv.DictReader(file)
        }
    bounds = {name: threshold for name, (threshold, _) in settings.items()}
    lots = [lot for lot in _lots(province) if not lot.is_withdrawn and lot.row["_type"][:2] in JUDGED]
    found = {(name, lot.row["BID_SECTION_CODE"]) for lot in lots for name in _of_lot(lot, bounds, province.night)}
    return found | _of_buyers(lots, settings)


def _of_lot(lot: Lot, bound: dict[str, Fraction], night: dt.date) -> Iterator[str]:
    notice, deadline, awarded = lot.notice_day("1"), lot.deadline, lot.awarded
    signed = min((day for one in lot.contracts if (day := _day(one["CONTRACT_SIGN_TIME"]))), default=None)
    award = _cents(lot.results[0]) if len(lot.results) == 1 else None
    contract = _cents(lot.contracts[0]) if len(lot.contracts) == 1 else None
    estimate, settled = _cents(lot.row), _cents(lot.performance) if lot.performance else None
    prices = [(price, _lost(bid), bid["BIDDER_ORG_CODE"]) for bid in lot.bids if (price := _price(bid)) is not None]
    is_open = lot.project is not None and lot.project["TENDER_MODE"] == "1"
    if deadline and notice and is_open and (deadline - notice).days < bound["R003"]:
        yield "R003"
    if lot.results and len(lot.bids) == bound["R018"]:
        yield "R018"
    own = _price(lot.winning) if lot.winning else None
    others = [price for price, lost, bidder in prices if not lost and bidder != lot.winner]
    if own and others and awarded and min(others) >= own:
        above = Fraction(min(others) - own, own)
        if above <= bound["R024"]:
            yield "R024"
        if above >= bound["R058"]:
            yield "R058"
    same = Counter(price for price, _, _ in prices if price > 0)
    if same and max(same.values()) >= bound["R028"] and (deadline or awarded or notice):
        yield "R028"
    handed_in = _day(lot.winning["CHECKIN_TIME"]) if lot.winning else None
    if handed_in and deadline and (handed_in - deadline).days > bound["R030"]:
        yield "R030"
    if award is not None and estimate and awarded and Fraction(award, estimate) >= bound["R031"]:
        yield "R031"
    if lot.winning and not _lost(lot.winning) and lot.rejected >= bound["R035"] and lot.rejected == len(lot.bids) - 1:
        yield "R035"
    valid, out = [p for p, lost, _ in prices if not lost], [p for p, lost, _ in prices if lost]
    if lot.results and valid and out and min(valid) > min(out):
        yield "R036"
    if award and contract is not None and signed and Fraction(abs(contract - award), award) >= bound["R059"]:
        yield "R059"
    if signed and awarded and (signed - awarded).days > bound["R060"]:
        yield "R060"
    if deadline and awarded:
        if (awarded - deadline).days < bound["R061"]:
            yield "R061"
        if (awarded - deadline).days > bound["R062"]:
            yield "R062"
    if signed and ((lot.notice_day("5") or night) - signed).days > bound["R063"]:
        yield "R063"
    if lot.performance and (_day(lot.performance["FINISH_TIME"]) or _day(lot.performance["REPORT_ISSUE_TIME"])):
        if (lot.performance["CONTRACT_CHANGE_CONTENT"] or "").strip():
            yield "R064"
        if settled is not None and contract and Fraction(settled - contract, contract) > bound["R068"]:
            yield "R068"
    if awarded and ((lot.notice_day("4") or night) - awarded).days > bound["LN01"]:
        yield "LN01"
    if lot.winner and lot.bids and not lot.winning:
        yield "LN02"


def _of_buyers(lots: list[Lot], settings: dict[str, tuple[Fraction, int]]) -> set[tuple[str, str]]:
    bids: dict[str, list[tuple[int, int]]] = defaultdict(list)
    wins: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    for lot in lots:
        if lot.awarded is None or lot.buyer is None:
            continue
        buyer = f"{lot.row['node']}/{lot.buyer}"
        if lot.bids and all(_lost(bid) is not None for bid in lot.bids):
            bids[buyer].append((lot.rejected, len(lot.bids)))
        if lot.winner:
            wins[buyer, lot.awarded.year][lot.winner] += 1
    share, least = settings["R038"]
    found = {
        ("R038", buyer)
        for buyer, of_lots in bids.items()
        if len(of_lots) >= least and Fraction(sum(a for a, _ in of_lots), sum(b for _, b in of_lots)) >= share
    }
    share, least = settings["R040"]
    return found | {
        ("R040", f"{buyer}/{year}/{winner}")
        for (buyer, year), of_winners in wins.items()
        for winner, count in of_winners.items()
        if of_winners.total() >= least and Fraction(count, of_winners.total()) >= share
    }


def _lots(province: Province) -> list[Lot]:
    books = Books(province.state, TRADING)
    nodes = [node.code for node in all_nodes()]
    live, gone = {}, []
    for table in TRADING.tables:
        rows = books.latest(table.dataset, also=table.columns).to_dicts()
        live[table.dataset] = [row | {"node": nodes[row["_node"]]} for row in rows if not row["_deleted"]]
        if table.dataset == "notice":
            gone = [row for row in rows if row["_deleted"]]
    projects = {row["TENDER_PROJECT_CODE"]: row for row in live["project"]}
    lots = {row["BID_SECTION_CODE"]: Lot(row, projects.get(row["TENDER_PROJECT_CODE"])) for row in live["lot"]}
    for rows, name in ((live["notice"], "notices"), (gone, "gone_notices")):
        for row in rows:
            for code in (row["BID_SECTION_CODES"] or "").split(";"):
                if code in lots:
                    getattr(lots[code], name).append(row)
    for dataset, name in (("bid", "bids"), ("result", "results"), ("contract", "contracts")):
        for row in live[dataset]:
            if row["BID_SECTION_CODE"] in lots:
                getattr(lots[row["BID_SECTION_CODE"]], name).append(row)
    for row in live["performance"]:
        if row["BID_SECTION_CODE"] in lots:
            lots[row["BID_SECTION_CODE"]].performance = row
    return list(lots.values())


def _is(notice: Row, nature: str) -> bool:
    return bool(notice["NOTICE_NATURE"] == nature)


def _day(text: str | None) -> dt.date | None:
    return dt.datetime.strptime(text[:8], "%Y%m%d").date() if text else None  # noqa: DTZ007 - a day, no time


def _lost(bid: Row) -> bool | None:
    return {"1": True, "T": True, "0": False, "F": False}.get(bid["IS_LOST"])


def _price(row: Row) -> int | None:
    """Whole cents, half a cent up; None where the price is no amount."""
    return None if row["_milli"] is None else (row["_milli"] + 5) // 10


def _cents(row: Row) -> int | None:
    """As :func:`_price`; None also for an amount that awaits confirmation."""
    price = _price(row)
    return None if price is None or price > HELD_ABOVE else price
