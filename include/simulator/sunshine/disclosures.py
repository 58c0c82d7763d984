"""What villages disclose: entered by the village, reviewed and published by the township."""

from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from simulator.books import BOOK_COLUMNS, FIRST_NIGHT, Books, date_of, day_of, no_rows
from simulator.habits import DAY, Ints, false_flag, time_text, true_flag
from simulator.source import Context
from simulator.sunshine.faults import broken_by_village
from simulator.sunshine.schema import DISCLOSURE
from simulator.sunshine.sizes import CUT_OFF, GROWTH, Villages, totals, villages
from simulator.sunshine.writing import is_short, written
from simulator.versions import (
    back_dated,
    booked,
    present,
    revived,
    touched,
    usual_changes,
)

ITEMS = (
    ("1", ("党员发展", "党费收缴", "三会一课", "党务决议", "评先评优", "民主评议")),
    ("2", ("低保名单", "宅基地审批", "惠农补贴", "村务决议", "公益岗位", "救助发放", "环境整治", "征地补偿")),
    ("3", ("财务收支", "集体资产", "债权债务", "工程项目", "公务支出", "收益分配")),
)
START = day_of(date(2021, 1, 1))
CUT = day_of(date_of(int(CUT_OFF)))
LAST = day_of(FIRST_NIGHT)
COUNTED, LATER, WITHDRAWN, UNPUBLISHED, DELETED = range(5)
SHARES = {WITHDRAWN: 0.006, UNPUBLISHED: 0.004, DELETED: 0.0008}
CHANGES = {"correction": 0.0012, "resent": 0.0010}
NEW_A_NIGHT = 90
PIECE = 100_000
YOUNG = pl.col("PUBLISH_TIME").is_null() | (pl.col("PUBLISH_TIME").str.slice(0, 8) > CUT_OFF)
TITLES = tuple(f"{name}公开" for _, names in ITEMS for name in names)
ITEM_CODES = tuple(f"{category}{n:02d}" for category, names in ITEMS for n in range(1, len(names) + 1))


def disclosure_history(context: Context) -> pl.DataFrame:
    """All up to the first night, by village. Every village has one that counts. Made in pieces, to spare memory."""
    places, counted = villages(context.seed, tiny=context.is_tiny), totals(context).disclosures
    rng = context.rng("disclosures")
    sizes = {COUNTED: counted - len(places), LATER: int(counted * GROWTH)}
    sizes |= {fate: max(4, int(counted * share)) for fate, share in SHARES.items()}
    fate = np.concatenate([np.full(size, fate, dtype=np.int8) for fate, size in sizes.items()])
    village = np.searchsorted(np.cumsum(places.share)[:-1], rng.random(len(fate))).astype(np.int32)
    fate = np.concatenate([np.full(len(places), COUNTED, dtype=np.int8), fate])
    village = np.concatenate([np.arange(len(places), dtype=np.int32), village])
    order = np.argsort(village, kind="stable")
    village, fate = village[order], fate[order]
    edges = np.searchsorted(village, np.unique(village[::PIECE]))[1:]
    parts = [
        _piece(rng, places, part.astype(np.int64), fates)
        for part, fates in zip(np.split(village, edges), np.split(fate, edges), strict=True)
    ]
    good = pl.concat(parts)
    return pl.concat([good, bad_disclosures(rng, good, max(10, int(good.height * 0.0002)), first_serial=1)])


def disclosure_night(context: Context, books: Books, rng: np.random.Generator, night: date) -> pl.DataFrame:
    """New ones, drafts that are published, younger ones that are withdrawn or deleted, corrected titles."""
    counted = totals(context).disclosures
    share = counted / 3_684_217
    places = villages(context.seed, tiny=context.is_tiny)
    young = present(
        books, "disclosure", ["PUBLISH_TIME", "ENTER_TIME", "IS_WITHDRAWN"], where=~pl.col("_deleted") & YOUNG
    )
    young = young[rng.permutation(young.height)]
    published, out = pl.col("PUBLISH_TIME").is_not_null(), pl.col("IS_WITHDRAWN").is_in(["1", "T"])
    drafts, shown = young.filter(~published), young.filter(published & ~out)
    few = max(1, int(60 * share))
    picks = {"progress": drafts[: 2 * few], "withdrawn": shown[:few], "tombstone": shown[few : few + max(1, few // 6)]}
    moved = {
        kind: touched(rng, DISCLOSURE, books.rows("disclosure", rows), night, kind, deleted=kind == "tombstone")
        if rows.height
        else no_rows(DISCLOSURE)
        for kind, rows in picks.items()
    }
    moved["progress"] = _published(rng, moved["progress"])
    moved["withdrawn"] = moved["withdrawn"].with_columns(IS_WITHDRAWN=true_flag())
    busy = pl.concat(list(moved.values()))
    sizes = {kind: max(3, int(counted * part)) for kind, part in CHANGES.items()}
    changed = usual_changes(books, rng, DISCLOSURE, busy, night, sizes)
    changed["correction"] = changed["correction"].with_columns(TITLE=pl.col("TITLE") + "（更正）")
    busy = pl.concat([busy, *changed.values(), _new(rng, places, night, max(8, int(NEW_A_NIGHT * share)))])
    rows = pl.concat([busy, revived(books, rng, DISCLOSURE, busy, night, 1, _uncounted(books))])
    serial = 100_000 + (day_of(night) - LAST) * 101
    bad = bad_disclosures(rng, rows, max(2, int(rows.height * 0.0005)), serial)
    return pl.concat([back_dated(books, rng, DISCLOSURE, rows, share=0.002), bad])


def _uncounted(books: Books) -> pl.Expr:
    """Deleted records that no figure counts once they are alive again: those of the night files after the history."""
    return pl.col("_night") > books.nights()[0]


def _piece(rng: np.random.Generator, places: Villages, village: Ints, fate: npt.NDArray[np.int8]) -> pl.DataFrame:
    """All disclosures of some villages, sorted by village."""
    count = len(village)
    later = (fate == LATER) | ((fate == UNPUBLISHED) & (rng.random(count) < 0.5))
    day = np.where(later, rng.integers(CUT + 1, LAST + 1, count), rng.integers(START + 10, CUT + 1, count))
    published = day * DAY + rng.integers(8 * 3600 + 1800, 17 * 3600, count)
    reviewed = published - rng.integers(600, 2 * DAY, count)
    entered = reviewed - rng.integers(600, 3 * DAY, count)
    number = np.arange(count) - np.searchsorted(village, village) + 1
    month = time_text(entered).str.slice(0, 6)
    rows = _frame(
        rng, places, village, month, pl.Series(number).cast(pl.String).str.zfill(4), entered, reviewed, published
    )
    known = pl.lit(pl.Series(fate != UNPUBLISHED))
    out = pl.lit(pl.Series(fate == WITHDRAWN))
    stamp = np.minimum(published + rng.integers(60, 5 * 3600, count), LAST * DAY + 23 * 3600)
    gone = pl.Series(fate == DELETED)
    return booked(
        rows.with_columns(
            PUBLISH_TIME=pl.when(known).then("PUBLISH_TIME"),
            IS_WITHDRAWN=pl.when(out).then(true_flag()).otherwise(false_flag()),
            DATA_TIMESTAMP=time_text(stamp),
            _deleted=gone,
            _kind=pl.when(gone).then(pl.lit("tombstone")).otherwise(pl.lit("new")),
        ),
        DISCLOSURE,
        FIRST_NIGHT,
    )


def _new(rng: np.random.Generator, places: Villages, night: date, count: int) -> pl.DataFrame:
    """Entered today; two of three are reviewed and published today. Six-digit numbers, which the history has not."""
    village = np.sort(rng.choice(len(places), count, p=places.share))
    entered = day_of(night) * DAY + rng.integers(8 * 3600, 12 * 3600, count)
    reviewed = entered + rng.integers(600, 2 * 3600, count)
    published = reviewed + rng.integers(600, 3 * 3600, count)
    month = pl.Series([f"{night:%Y%m}"]).new_from_index(0, count)
    number = pl.Series(100_000 + night.day * 20_000 + np.arange(count) % 20_000).cast(pl.String)
    rows = _frame(rng, places, village, month, number, entered, reviewed, published)
    known = pl.lit(pl.Series(rng.random(count) < 0.67))
    return booked(
        rows.with_columns(
            REVIEW_TIME=pl.when(known).then("REVIEW_TIME"),
            PUBLISH_TIME=pl.when(known).then("PUBLISH_TIME"),
            IS_WITHDRAWN=false_flag(),
            DATA_TIMESTAMP=time_text(published + rng.integers(60, 5 * 3600, count)),
        ),
        DISCLOSURE,
        night,
    )


def _frame(
    rng: np.random.Generator, places: Villages, village: Ints, month: pl.Series, number: pl.Series,
    entered: Ints, reviewed: Ints, published: Ints,
) -> pl.DataFrame:  # fmt: skip
    count = len(village)
    code = places.code.gather(pl.Series(village))
    item = pl.Series(rng.integers(0, len(TITLES), count))
    node = places.node[village]
    short = is_short(node, entered)
    return pl.DataFrame(
        {
            "DISCLOSURE_ID": pl.select(pl.concat_str(code, month, number)).to_series(),
            "VILLAGE_CODE": code,
            "CATEGORY_CODE": pl.Series([code[0] for code in ITEM_CODES]).gather(item),
            "ITEM_CODE": pl.Series(ITEM_CODES).gather(item),
            "TITLE": pl.Series(TITLES).gather(item),
            "ENTER_TIME": written(entered, short),
            "REVIEW_TIME": written(reviewed, short),
            "PUBLISH_TIME": written(published, short),
            "_p": pl.Series(village),
            "_node": pl.Series(node.astype(np.int16)),
        }
    ).with_columns(_type=pl.col("CATEGORY_CODE"))


def _published(rng: np.random.Generator, rows: pl.DataFrame) -> pl.DataFrame:
    """Drafts that the township publishes today, in the way in which the village wrote its times."""
    back = pl.lit(pl.Series(rng.integers(60, 3000, rows.height)))
    moment = pl.col("DATA_TIMESTAMP").str.to_datetime("%Y%m%d%H%M%S") - pl.duration(seconds=back)
    text = moment.dt.strftime("%Y%m%d%H%M%S").str.slice(0, pl.col("ENTER_TIME").str.len_chars())
    return rows.with_columns(REVIEW_TIME=pl.coalesce("REVIEW_TIME", text), PUBLISH_TIME=text)


def bad_disclosures(rng: np.random.Generator, good: pl.DataFrame, count: int, first_serial: int) -> pl.DataFrame:
    """Rows that break the contract, with numbers of their own (month 99 of their year)."""
    return broken_by_village(
        _models(rng, good, count),
        DISCLOSURE,
        lambda village, serial: f"{village}{FIRST_NIGHT.year}99{serial % 1_000_000:06d}",
        first_serial,
        time="ENTER_TIME",
        code="CATEGORY_CODE",
    )


def _models(rng: np.random.Generator, good: pl.DataFrame, count: int) -> pl.DataFrame:
    """Rows to break, from each city in turn."""
    # a sample first: the rows are millions
    some = good[rng.integers(0, good.height, min(80 * count, 2 * good.height))].unique(
        "DISCLOSURE_ID", maintain_order=True
    )
    able = some.filter(~pl.col("_deleted") & pl.col("_bad").is_null() & (pl.col("_kind") == "new"))
    able = able.with_columns(_turn=pl.int_range(pl.len()).over("_node")).sort("_turn", maintain_order=True)
    return able[:count].select(*DISCLOSURE.columns, *BOOK_COLUMNS)
